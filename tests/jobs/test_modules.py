from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import PackageShadowed, TasksNotFound
from jobs.modules import import_tasks
from jobs.task import default_registry


@pytest.fixture(autouse=True)
def user_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to a user's folder, importable after everything else, as the command line makes it."""
    before = set(sys.modules)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_tasks_are_registered(user_folder: Path) -> None:
    (user_folder / "first_tasks.py").write_text("from jobs import task\n@task\ndef from_a_module() -> None: ...\n")
    import_tasks(["first_tasks"])
    assert default_registry.get("from_a_module")


@pytest.mark.parametrize("module", ["no_such_module", "no_such_package.tasks", "xml.no_such_module"])
def test_a_missing_module_is_named_with_where_it_was_sought(module: str, user_folder: Path) -> None:
    with pytest.raises(TasksNotFound, match=f"^There is no tasks module {module}, neither in {user_folder} nor among"):
        import_tasks([module])


@pytest.mark.parametrize("module", ["platform", "email", "queue"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
def test_a_module_that_python_has_too_is_to_be_renamed(module: str, form: str, user_folder: Path) -> None:
    file = user_folder / form.format(module)
    file.parent.mkdir(exist_ok=True)
    file.write_text("from jobs import task\n@task\ndef hidden() -> None: ...\n")
    shown = form.partition("/")[0].format(module)
    with pytest.raises(
        TasksNotFound, match=f"^{module} is Python's own module, not the {shown} of this folder: rename"
    ):
        import_tasks([module])


def test_a_module_of_a_hidden_package_is_named(user_folder: Path) -> None:
    (user_folder / "email").mkdir()
    (user_folder / "email" / "tasks.py").write_text("")
    with pytest.raises(TasksNotFound, match=r"^email is Python's own module, not the email of this folder: rename it"):
        import_tasks(["email.tasks"])


def test_a_module_that_is_installed_too_is_to_be_renamed(user_folder: Path) -> None:
    (user_folder / "msgspec.py").write_text("")
    with pytest.raises(
        TasksNotFound, match=r"^msgspec is an installed module \(.*\), not the msgspec\.py of this folder"
    ):
        import_tasks(["msgspec"])


@pytest.mark.parametrize(
    ("given", "meant"),
    [("mine.py", "mine"), ("./mine.py", "mine"), ("shop/mine.py", r"shop\.mine"), ("shop/mine", r"shop\.mine")],
)
def test_a_file_is_given_where_a_module_is_meant(given: str, meant: str) -> None:
    with pytest.raises(TasksNotFound, match=rf"is a file, and tasks are given as modules\. Did you mean {meant}\?$"):
        import_tasks([given])


def test_a_file_by_its_absolute_path(user_folder: Path) -> None:
    with pytest.raises(TasksNotFound, match=r"Did you mean mine\?$"):
        import_tasks([str(user_folder / "mine.py")])
    with pytest.raises(TasksNotFound, match=r"Name it as an import does, from the folder that you start in\.$"):
        import_tasks(["../elsewhere/mine.py"])


def test_a_module_without_tasks_is_logged(user_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (user_folder / "idle_tasks.py").write_text("")
    (user_folder / "inner_tasks.py").write_text("from jobs import task\n@task\ndef of_inner() -> None: ...\n")
    (user_folder / "outer_tasks.py").write_text("import inner_tasks\n")
    import_tasks(["outer_tasks", "inner_tasks"])
    assert caplog.messages == []
    import_tasks(["idle_tasks"])
    assert caplog.messages == ["The tasks module idle_tasks registers no task; decorate its functions with @task."]


def test_a_module_that_needs_a_missing_one_names_that_and_the_line(user_folder: Path) -> None:
    (user_folder / "needy_tasks.py").write_text("import no_such_module\n")
    with pytest.raises(TasksNotFound, match=r"needy_tasks fails: .*no_such_module.*needy_tasks\.py, line 1\)"):
        import_tasks(["needy_tasks"])


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("\n1 / 0\n", r"ZeroDivisionError: division by zero \(.*broken_tasks\.py, line 2\)"),
        ("def (:\n", r"SyntaxError: .*broken_tasks\.py, line 1"),
        ("raise SystemError('no.')", r"SystemError: no \("),
        ("import sys\nsys.exit(3)", r"it calls sys\.exit\(3\) \(.*broken_tasks\.py, line 2\)"),
    ],
)
def test_a_module_that_fails_says_where(code: str, fault: str, user_folder: Path) -> None:
    (user_folder / "broken_tasks.py").write_text(code)
    with pytest.raises(TasksNotFound, match=f"The tasks module broken_tasks fails: {fault}"):
        import_tasks(["broken_tasks"])


@pytest.mark.parametrize("package", ["jobs", "api"])
def test_a_users_own_package_of_our_name_is_named(package: str, user_folder: Path) -> None:
    (user_folder / package).mkdir()
    (user_folder / package / "mine.py").write_text("")
    with pytest.raises(PackageShadowed, match=rf"^{package}\.mine needs {package}\.mine, but a package `{package}`"):
        import_tasks([f"{package}.mine"])
    for code in (f"import {package}.mine", f"from {package} import mine"):
        (user_folder / "my_tasks.py").write_text(code)
        with pytest.raises(PackageShadowed, match=f"my_tasks needs {package}"):
            import_tasks(["my_tasks"])
