-- Make runnable what is due.
-- request  { limit }
-- answer   { how many, milliseconds until the next one (at most 1000) }
local promoted = promote(request[1])
return commit({ promoted, until_due(1000) })
