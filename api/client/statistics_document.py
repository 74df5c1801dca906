"""What the command asks the API about statistics."""

STATISTICS = """
query Statistics($window: Duration, $queue: String, $task: String, $groupBy: StatisticsGroup) {
  statistics(window: $window, queue: $queue, task: $task, groupBy: $groupBy) {
    from
    until
    precision
    oldestWait
    total { ...StatisticsParts }
    groups { queue task ...StatisticsParts }
    bottlenecks { kind task reason }
  }
}
fragment StatisticsParts on Statistics {
  accepted started completed failed dead cancelled lost snoozed released successRate throughput cpu cpuPerRun
  wait { count average p50 p90 p95 p99 }
  run { count average p50 p90 p95 p99 }
}
"""
