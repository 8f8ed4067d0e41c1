"""What is shipped for running Postern elsewhere agrees with the product: Dockerfile, compose.yaml, units, nginx.

Not here: Docker, Compose, systemd and nginx themselves. docs/deployment.md is about them; journeys/ checks its links.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from receiver.cli.main import postern
from receiver.schemes.presets import preset_names
from receiver.settings import Settings, load
from receiver.sources import describe_source
from receiver.wellformed import Limits
from tests.support.postern import serving, write_project

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
UNITS = sorted((ROOT / "docs/systemd").glob("*.service"))
NGINX = (ROOT / "docs/nginx.conf").read_text()
OURS = ("receiver", "worker", "upgrade")
STOPS_WITHIN_S = 12  # a receiver and a worker, by their own deadlines


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # only variables shall count: no postern.toml and no .env


# ── commands and keys ──


def test_each_command_is_one_and_takes_its_options() -> None:
    assert _instruction("ENTRYPOINT") == '["postern"]'
    images = [json.loads(_instruction("CMD")), *(SERVICES[name]["command"] for name in OURS)]
    for words in (*images, *map(_started_by, UNITS)):
        with click.Context(postern) as ctx:
            _parsed(postern, list(words), ctx)


def _parsed(command: click.Command, words: list[str], ctx: click.Context) -> None:
    """Errors: click.UsageError for an option that there is not."""
    while isinstance(command, click.Group):
        found = command.get_command(ctx, words.pop(0))
        assert found, words
        command = found
    command.make_context(command.name, words)


def _started_by(unit: Path) -> list[str]:
    program, *words = _values(unit, "ExecStart")[0].split()
    assert program == f"{_values(unit, 'WorkingDirectory')[0]}/.venv/bin/postern"
    return words


def test_what_is_started_is_a_receiver_two_workers_and_an_upgrade_before_them() -> None:
    assert SERVICES["receiver"]["command"] == json.loads(_instruction("CMD")) == ["serve"]
    assert SERVICES["worker"]["command"] == ["worker"]
    assert SERVICES["worker"]["deploy"] == {"replicas": 2}
    assert SERVICES["upgrade"]["command"] == ["db", "upgrade"]


def test_each_variable_is_a_key_of_the_configuration() -> None:
    image = dict(re.findall(r"(POSTERN_\w+)=(\S+)", DOCKERFILE))
    assert _loaded(image).server.host == "0.0.0.0"
    assert str(_loaded(image).server.port) == _instruction("EXPOSE")
    for name in OURS:
        settings = _loaded(_environ(name, POSTGRES_PASSWORD="abc"))
        assert settings.store.url == "postgresql://postern:abc@postgres:5432/postern"
        assert settings.queue.url == "redis://redis:6379/0"


def test_rabbitmq_is_what_the_documentation_says_to_write() -> None:
    written = dict(re.findall(r"`(\w+)=([^`]*)`", (ROOT / "docs/deployment.md").read_text()))
    environ = _environ("worker", POSTGRES_PASSWORD="abc", **written)
    assert _loaded(environ).queue.url == "amqp://postern:PASSWORD@rabbitmq:5672/"
    server = SERVICES["rabbitmq"]
    assert server["profiles"] == [written["COMPOSE_PROFILES"]]
    assert server["environment"]["RABBITMQ_DEFAULT_USER"] == "postern"
    assert _filled(server["environment"]["RABBITMQ_DEFAULT_PASS"], written) == "PASSWORD"


def _loaded(environ: dict[str, str]) -> Settings:
    settings = load(None, environ)
    assert settings.warnings == ()
    return settings


# ── the image ──


def test_the_image_is_not_roots_and_its_python_hides_no_output() -> None:
    assert _last_stage().count("\nUSER ") == 1
    uid, gid = _instruction("USER").split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert f"useradd --uid {uid} --gid {gid} " in DOCKERFILE
    assert "PYTHONUNBUFFERED=1" in _last_stage()


def test_the_image_installs_the_lock_and_nothing_else_from_outside() -> None:
    installs = re.findall(r"pip (?:download|install|wheel) .*", DOCKERFILE)
    assert installs[0] == "pip download --require-hashes --requirement requirements.lock --dest wheels"
    assert all("--no-index" in line for line in installs[1:])
    assert len(installs) == 4


def test_the_image_gets_every_file_that_it_copies_and_no_secret() -> None:
    copied = {word for line in re.findall(r"^COPY ([^-].*)", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]}
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_the_health_check_sees_a_receiver_that_lives_and_one_that_does_not(tmp_path: Path) -> None:
    write_project(tmp_path, "")
    with serving(tmp_path) as running:
        port = running.port
        assert _health(port) == 0
    assert _health(port) == 1


def _health(port: int) -> int:
    program, *arguments = json.loads(_instruction("HEALTHCHECK").partition("CMD ")[2])
    assert program == "python"
    arguments = [argument.replace(_instruction("EXPOSE"), str(port)) for argument in arguments]
    environ = {**os.environ, "http_proxy": "http://127.0.0.1:9"}  # Docker hands its client's proxies in
    return subprocess.run([sys.executable, *arguments], env=environ, stderr=subprocess.DEVNULL, check=False).returncode


def _last_stage() -> str:
    return DOCKERFILE.rpartition("\nFROM ")[2]


def _instruction(name: str) -> str:
    """The last one of this name, its lines joined."""
    joined = _last_stage().replace("\\\n", "")
    found: list[str] = re.findall(rf"^{name} +(.*)$", joined, re.MULTILINE)
    return found[-1].strip()


# ── Compose ──


def test_compose_has_its_services_and_each_says_when_it_is_well() -> None:
    assert set(SERVICES) == {*OURS, "postgres", "redis", "rabbitmq"}
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["rabbitmq"]
    assert [name for name in ("postgres", "redis", "rabbitmq") if "test" not in SERVICES[name]["healthcheck"]] == []
    assert SERVICES["worker"]["healthcheck"] == SERVICES["upgrade"]["healthcheck"] == {"disable": True}


def test_nothing_of_ours_starts_before_the_tables_are_there() -> None:
    for name in ("receiver", "worker"):
        waits = {service: how["condition"] for service, how in SERVICES[name]["depends_on"].items()}
        assert waits == {"postgres": "service_healthy", "upgrade": "service_completed_successfully"}
    assert SERVICES["upgrade"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["upgrade"]["restart"] == "no"


def test_compose_refuses_to_start_without_a_password() -> None:
    for name in (*OURS, "postgres"):
        with pytest.raises(LookupError, match="POSTGRES_PASSWORD"):
            _environ(name)
    assert not re.search(r"postgres.*fsync *=|synchronous_commit *=", (ROOT / "compose.yaml").read_text())


def test_what_must_last_is_on_a_volume_and_what_need_not_is_not() -> None:
    assert {volume.partition(":")[0] for volume in SERVICES["postgres"]["volumes"]} == set(COMPOSE["volumes"])
    assert "volumes" not in SERVICES["redis"]
    assert SERVICES["redis"]["command"] == ["redis-server", "--save", "", "--appendonly", "no"]


@pytest.mark.parametrize("name", OURS)
def test_ours_have_time_to_stop_and_no_rights_that_they_need_not(name: str) -> None:
    service = SERVICES[name]
    assert _seconds(service["stop_grace_period"]) > STOPS_WITHIN_S
    assert service["volumes"] == [".:/project:ro"]
    assert _instruction("WORKDIR") == "/project"
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert _filled(service["user"], {}) == _instruction("USER")


def _environ(service: str, **variables: str) -> dict[str, str]:
    return {name: _filled(text, variables) for name, text in SERVICES[service]["environment"].items()}


def _filled(text: str, variables: dict[str, str]) -> str:
    """As Compose fills variables in. Errors: LookupError for a required one that is missing."""

    def value(found: re.Match[str]) -> str:
        name, operator, word = found.groups()
        if operator == ":?" and not variables.get(name):
            raise LookupError(f"{name}: {word}")
        return variables.get(name) or word

    return re.sub(r"\$\{(\w+)(:[?-])([^}]*)\}", value, text)


def _seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


# ── systemd and nginx ──


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_drains_starts_again_and_may_do_little(unit: Path) -> None:
    assert _values(unit, "KillMode") == ["mixed"]
    assert int(_values(unit, "TimeoutStopSec")[0]) > STOPS_WITHIN_S
    assert _values(unit, "ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert _values(unit, "Restart") == ["always"]
    assert _values(unit, "StartLimitIntervalSec") == ["0"]
    assert _values(unit, "User") == ["postern"]
    assert (_values(unit, "NoNewPrivileges"), _values(unit, "ProtectSystem")) == (["yes"], ["strict"])
    assert _values(unit, "ExecStartPre") == []


def test_both_units_expect_the_same_machine() -> None:
    one, other = (dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE)) for unit in UNITS)
    assert {key for key in one | other if one.get(key) != other.get(key)} == {"Description", "ExecStart"}


def _values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def test_nginx_has_our_deadlines_and_lets_the_largest_body_through() -> None:
    limits = Limits()
    assert f"client_header_timeout {limits.headers_s:g}s;" in NGINX
    assert f"client_body_timeout {limits.body_s:g}s;" in NGINX
    read = re.search(r"proxy_read_timeout (\d+)s;", NGINX)
    assert read
    assert int(read[1]) > limits.store_s
    size = re.search(r"client_max_body_size (\d+)m;", NGINX)
    assert size
    assert int(size[1]) << 20 == max(_body_limit(preset) for preset in preset_names())


def _body_limit(preset: str) -> int:
    settings = load(None, {"POSTERN_SOURCES__ANY__PRESET": preset})
    return describe_source("any", settings).max_body_bytes
