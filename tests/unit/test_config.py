"""Configuration: values, sources, and the rules between options."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import msgspec
import pytest

from s3d import config, values
from s3d.config import ConfigError, load
from s3d.values import Listener, Secret

IDENTITY = {"S3D_ACCESS_KEY_ID": "AKIDEXAMPLE", "S3D_SECRET_ACCESS_KEY": "hidden-secret-value"}


def refused(environ: dict[str, str], options: dict[str, str] | None = None) -> str:
    """What `load` says to a configuration that it must refuse."""
    with pytest.raises(ConfigError) as caught:
        load(options or {}, environ)
    return "\n".join(caught.value.problems)


def toml(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "s3d.toml"
    path.write_text(text)
    return {"S3D_CONFIG": str(path)}


# --- values


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0), ("4096", 4096), ("4096B", 4096), ("10MB", 10_000_000), ("10 MB", 10_000_000), ("1GiB", 2**30),
        ("1.5GiB", 3 * 2**29), ("5tib", 5 * 2**40), ("9007199254740993", 2**53 + 1),
    ],
)  # fmt: skip
def test_a_size_is_read_in_decimal_and_binary_units(text: str, size_bytes: int) -> None:
    assert values.read_size(text, 0, None) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "-1", "10M", "10 parsecs", "1e3", "1,5GB", "0x10", "GB", "1GB extra", "\u0663GB", "9" * 400]
)
def test_a_text_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: a size such as"):
        values.read_size(text, 0, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30", 30), ("5m", 300), ("2h", 7200), ("7d", 604800), ("1.5s", 1.5), ("250ms", 0.25)],
)
def test_a_duration_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert values.read_duration(text, 0, None, never=False) == pytest.approx(seconds)


def test_never_is_a_duration_only_where_it_is_allowed() -> None:
    assert values.read_duration("never", 0, None, never=True) is None
    with pytest.raises(ValueError, match="allowed: a duration"):
        values.read_duration("never", 0, None, never=False)


@pytest.mark.parametrize("text", ["", "5x", "-3s", "inf", "nan", "1h30m", "9" * 400 + "s"])
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: a duration"):
        values.read_duration(text, 0, None, never=True)


@pytest.mark.parametrize("text", ["true", "1", "YES", "on"])
def test_words_for_true(text: str) -> None:
    assert values.read_bool(text) is True


@pytest.mark.parametrize("text", ["false", "0", "No", "off"])
def test_words_for_false(text: str) -> None:
    assert values.read_bool(text) is False


@pytest.mark.parametrize("text", ["", "2", "ja", "truee"])
def test_other_words_are_no_booleans(text: str) -> None:
    with pytest.raises(ValueError, match="true or false"):
        values.read_bool(text)


@pytest.mark.parametrize("size_bytes", [0, 1, 999, 1000, 1024, 1500, 32768, 10**9, 2**30, 50 * 10**12, 2**53 + 1])
def test_a_size_is_shown_so_that_it_reads_back_the_same(size_bytes: int) -> None:
    assert values.read_size(values.format_size(size_bytes), 0, None) == size_bytes


@pytest.mark.parametrize("seconds", [0, 0.25, 1.5, 30, 60, 90, 300, 7200, 86400, 604800])
def test_a_duration_is_shown_so_that_it_reads_back_the_same(seconds: float) -> None:
    assert values.read_duration(values.format_duration(seconds), 0, None, never=False) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("http://localhost:33333", Listener("http", "localhost", 33333)),
        ("HTTPS://S3.example.com", Listener("https", "s3.example.com", 443)),
        ("http://[::1]:9000/", Listener("http", "::1", 9000)),
        ("unix:///run/s3d.sock", Listener("unix", path="/run/s3d.sock")),
    ],
)
def test_an_address_to_listen_on_is_read(text: str, listener: Listener) -> None:
    assert values.read_listener(text) == listener
    assert values.read_listener(listener.url) == listener


@pytest.mark.parametrize(
    "text",
    [
        "localhost:33333", "http://", "http://:80", "ftp://localhost:21", "http://localhost:99999", "http://a/b",
        "http://localhost:80?x", "unix://relative/path", "unix:///", "unix:///" + "a" * 107, "http://a b:80",
        "http://[::1", "http://[nonsense]:80", "http://-a:80", "http://*:80", "unix:///a\0b",
    ],
)  # fmt: skip
def test_a_text_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: "):
        values.read_listener(text)


@pytest.mark.parametrize("host", ["LocalHost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.1.1.1"])
def test_loopback_hosts_are_known(host: str) -> None:
    assert values.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "::ffff:10.0.0.1"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not values.is_loopback(host)


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret("hidden-secret-value")
    assert f"{secret!r} {secret} {[secret]}" == "*** *** [***]"
    assert secret.reveal() == "hidden-secret-value"


# --- the table


def test_every_option_has_a_field_and_every_default_is_valid() -> None:
    loaded = load({}, {})
    for option in config.OPTIONS:
        assert hasattr(loaded, option.field)
        assert loaded.origins[option.name].source == "default"


def test_every_field_of_config_is_an_option_or_about_the_options() -> None:
    fields = {field.name for field in msgspec.structs.fields(config.Config)}
    assert fields - {option.field for option in config.OPTIONS} == {"origins", "warnings"}


def test_names_of_options_are_unique() -> None:
    for attribute in ("name", "key", "flag", "field"):
        names = [getattr(option, attribute) for option in config.OPTIONS]
        assert len(names) == len(set(names))


def test_what_an_option_shows_reads_back_the_same() -> None:
    loaded = load({}, IDENTITY | {"S3D_ALLOWED_HOSTS": "a.example,b.example", "S3D_REMOTE_CA_BUNDLE": "/ca.pem"})
    for option in config.OPTIONS:
        value = getattr(loaded, option.field)
        if value not in (None, ()) and not option.secret:
            assert option.read(option.show(value)) == value


def test_the_option_table_of_the_documentation_is_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "configuration.md"
    text = path.read_text(encoding="utf-8")
    found = re.search(r"<!-- options: [^\n]*-->\n\n(.*)<!-- end of options -->", text, re.DOTALL)
    assert found, "docs/configuration.md has lost its marks"
    difference = difflib.unified_diff(
        found[1].strip().splitlines(), config.markdown_table().strip().splitlines(), lineterm=""
    )
    assert not list(difference), "run `python -m s3d config --markdown` and put its output between the marks"


# --- sources


def test_a_command_line_option_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    environ = toml(tmp_path, "header_timeout = '1s'\nidle_timeout = '1s'\nbody_timeout = '1s'\n")
    environ |= {"S3D_HEADER_TIMEOUT": "2s", "S3D_IDLE_TIMEOUT": "2s"}
    loaded = load({"header_timeout": "3s"}, environ)
    assert (loaded.header_timeout_s, loaded.idle_timeout_s, loaded.body_timeout_s) == (3, 2, 1)


def test_config_remembers_where_each_value_came_from(tmp_path: Path) -> None:
    environ = toml(tmp_path, "body_timeout = '1s'\n") | {"S3D_IDLE_TIMEOUT": "2s"}
    origins = load({"header_timeout": "3s"}, environ).origins
    assert str(origins["S3D_HEADER_TIMEOUT"]) == "option --header-timeout"
    assert str(origins["S3D_IDLE_TIMEOUT"]) == "environment S3D_IDLE_TIMEOUT"
    assert str(origins["S3D_BODY_TIMEOUT"]) == f"file {tmp_path}/s3d.toml: body_timeout"
    assert str(origins["S3D_LOG_LEVEL"]) == "default"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({}, {"S3D_LOG_LEVEL": "", "S3_ENDPOINT": " "}).log_level == "info"


def test_blanks_around_a_value_are_not_part_of_it() -> None:
    loaded = load({}, {"S3D_ACCESS_KEY_ID": "AKID\n", "S3D_SECRET_ACCESS_KEY": " secret\n"})
    assert loaded.secret_access_key is not None
    assert (loaded.access_key_id, loaded.secret_access_key.reveal()) == ("AKID", "secret")


def test_a_file_may_group_options_in_tables_and_use_toml_types(tmp_path: Path) -> None:
    text = "domain = ['a.example', 'b.example']\n[remote]\nverify_tls = false\nretries = 5\n"
    loaded = load({}, toml(tmp_path, text + "[remote.read]\ntimeout = 1.5\n"))
    assert loaded.domain == ("a.example", "b.example")
    assert (loaded.remote_verify_tls, loaded.remote_retries, loaded.remote_read_timeout_s) == (False, 5, 1.5)


def test_the_option_config_wins_over_the_variable(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("log_level = 'debug'\n")
    environ = toml(tmp_path, "log_level = 'error'\n")
    assert load({"config": str(other)}, environ).log_level == "debug"


def test_foreign_variables_are_read_when_our_own_are_not_set() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://one", "AWS_ENDPOINT_URL_S3": "http://two", "AWS_DEFAULT_REGION": "eu-west-1"}
    loaded = load({}, environ)
    assert (loaded.s3_endpoint, loaded.aws_region) == ("http://two", "eu-west-1")
    assert str(loaded.origins["S3_ENDPOINT"]) == "environment AWS_ENDPOINT_URL_S3"
    assert load({}, environ | {"S3_ENDPOINT": "http://three"}).s3_endpoint == "http://three"


def test_an_endpoint_that_aws_tools_are_told_to_ignore_is_ignored() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://one", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert load({}, environ).s3_endpoint is None


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert load({}, {}).local_dir == Path("/home/someone/.s3d")


# --- refusals


def test_a_wrong_value_is_refused_with_name_value_source_and_what_is_allowed() -> None:
    message = refused({"S3D_AUTH": "maybe"})
    assert message == "S3D_AUTH: 'maybe' (from environment S3D_AUTH) is not valid; allowed: auto, none, sigv4."


def test_all_wrong_values_are_told_at_once() -> None:
    message = refused({"S3D_AUTH": "maybe", "S3D_MAX_CONNECTIONS": "0"}, {"idle_timeout": "soon"})
    assert [line.partition(":")[0] for line in message.splitlines()] == [
        "S3D_AUTH", "S3D_MAX_CONNECTIONS", "S3D_IDLE_TIMEOUT",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3D_MAX_HEADER_SIZE", "1KiB"), ("S3D_MAX_HEADER_SIZE", "1GiB"), ("S3D_REMOTE_RETRIES", "-1"),
        ("S3D_REMOTE_RETRIES", "1.5"), ("S3D_HEADER_TIMEOUT", "0s"), ("S3D_HEADER_TIMEOUT", "never"),
        ("S3D_ENDPOINT", ","), ("S3_ENDPOINT", "http://a/path"), ("S3_ENDPOINT", "s3.example.com"),
        ("S3_ENDPOINT", "unix:///x"), ("S3D_DOMAIN", "http://example.com"), ("S3D_ACCESS_KEY_ID", "a/b"),
        ("S3D_LOCAL_DIR", "a\nb"), ("S3D_REMOTE_VERIFY_TLS", "perhaps"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_or_of_another_type_is_refused(name: str, value: str) -> None:
    assert re.match(rf"{name}: .* is not valid; allowed: ", refused({name: value}))


def test_a_refused_secret_is_not_shown() -> None:
    message = refused({"S3D_ACCESS_KEY_ID": "AKID", "S3D_SECRET_ACCESS_KEY": "hidden\x01value"})
    assert "hidden" not in message
    assert "***" in message


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    message = refused({"S3_ENDPOINT": "https://user:hidden@s3.example.com"})
    assert "credentials do not belong into an address" in message
    assert "hidden" not in message


def test_an_unknown_variable_is_a_warning_with_the_nearest_name() -> None:
    [warning] = load({}, {"S3D_LOG_LEVLE": "debug"}).warnings
    assert warning.startswith("S3D_LOG_LEVLE ")
    assert warning.endswith("Did you mean S3D_LOG_LEVEL?")


def test_the_variables_of_a_kubernetes_service_named_s3d_are_no_options() -> None:
    environ = {"S3D_SERVICE_HOST": "10.0.0.1", "S3D_PORT": "tcp://10.0.0.1:80", "S3D_PORT_80_TCP_ADDR": "10.0.0.1"}
    assert load({}, environ).warnings == ()


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    message = refused(toml(tmp_path, "log_levle = 'debug'\n"))
    assert message.endswith("log_levle is not an option. Did you mean log_level?")


def test_a_variable_name_in_the_file_is_led_to_its_key(tmp_path: Path) -> None:
    assert refused(toml(tmp_path, "S3D_LOG_LEVEL = 'debug'\n")).endswith("Did you mean log_level?")


@pytest.mark.parametrize("text", ["idle_timeout = 12:00:00\n", "idle_timeout = [1, 2]\n"])
def test_a_toml_value_without_a_text_form_is_refused(tmp_path: Path, text: str) -> None:
    assert "idle_timeout must be text" in refused(toml(tmp_path, text))


def test_one_option_spelt_in_two_ways_is_refused(tmp_path: Path) -> None:
    assert "remote_retries is given twice" in refused(toml(tmp_path, "remote_retries = 1\n[remote]\nretries = 2\n"))


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused({"S3D_CONFIG": str(tmp_path / "none.toml")})
    assert "is not a TOML file" in refused(toml(tmp_path, "this is not = = toml"))


# --- rules between options


def test_auto_is_none_on_loopback_and_unix_sockets_without_an_identity() -> None:
    assert load({}, {"S3D_ENDPOINT": "http://127.0.0.1:1,unix:///run/s"}).resolve_auth() == "none"


def test_auto_is_sigv4_as_soon_as_there_is_an_identity() -> None:
    assert load({}, IDENTITY).resolve_auth() == "sigv4"


@pytest.mark.parametrize(
    "endpoint", ["http://0.0.0.0:1", "http://[::]:1", "http://10.0.0.1:1", "http://localhost:1,http://host:2"]
)
def test_auto_without_an_identity_is_refused_where_others_can_connect(endpoint: str) -> None:
    message = refused({"S3D_ENDPOINT": endpoint})
    assert "can be reached from other machines" in message
    assert "S3D_AUTH=none" in message


def test_none_written_out_is_accepted_where_others_can_connect() -> None:
    assert load({}, {"S3D_ENDPOINT": "http://0.0.0.0:1", "S3D_AUTH": "none"}).resolve_auth() == "none"


def test_an_identity_opens_addresses_that_others_reach() -> None:
    assert load({}, IDENTITY | {"S3D_ENDPOINT": "http://0.0.0.0:1"}).resolve_auth() == "sigv4"


def test_sigv4_without_an_identity_is_refused() -> None:
    assert "S3D_AUTH is sigv4, but there is no identity" in refused({"S3D_AUTH": "sigv4"})


@pytest.mark.parametrize("name", sorted(IDENTITY))
def test_half_an_identity_is_refused(name: str) -> None:
    message = refused({name: IDENTITY[name]})
    assert message.startswith(f"{name} is set, ")


def test_the_identity_is_a_pair_or_nothing() -> None:
    assert load({}, {}).identity() is None
    assert load({}, IDENTITY).identity() == ("AKIDEXAMPLE", Secret("hidden-secret-value"))


def test_none_with_an_identity_is_warned_about() -> None:
    assert any("S3D_AUTH is none" in warning for warning in load({}, IDENTITY | {"S3D_AUTH": "none"}).warnings)


def test_https_without_a_certificate_is_refused() -> None:
    assert "set S3D_TLS_CERT and S3D_TLS_KEY" in refused({"S3D_ENDPOINT": "https://localhost:1"})


def test_half_a_certificate_is_refused() -> None:
    assert "only one of them is set" in refused({"S3D_TLS_CERT": "/cert.pem"})


def test_a_certificate_that_no_address_uses_is_warned_about() -> None:
    [warning] = load({}, {"S3D_TLS_CERT": "/cert.pem", "S3D_TLS_KEY": "/key.pem"}).warnings
    assert "nothing is encrypted" in warning


@pytest.mark.parametrize(
    ("listen", "remote"),
    [
        ("http://localhost:33333", "http://localhost:33333"),
        ("http://localhost:33333", "http://127.0.0.1:33333"),
        ("http://127.0.0.1:80", "http://localhost"),
        ("http://0.0.0.0:33333", "http://[::1]:33333/"),
        ("http://store.example:9000", "http://STORE.example:9000"),
    ],
)
def test_a_remote_that_is_s3d_itself_is_refused(listen: str, remote: str) -> None:
    message = refused({"S3D_ENDPOINT": listen, "S3_ENDPOINT": remote, "S3D_AUTH": "none"})
    assert "go round in a circle" in message


def test_an_aws_endpoint_variable_meant_for_applications_is_seen_as_a_loop() -> None:
    assert "environment AWS_ENDPOINT_URL" in refused({"AWS_ENDPOINT_URL": "http://localhost:33333"})


def test_a_remote_on_another_port_of_this_machine_is_accepted() -> None:
    assert load({}, {"S3_ENDPOINT": "http://localhost:9000"}).s3_endpoint == "http://localhost:9000"


def test_an_address_that_is_listed_twice_is_refused() -> None:
    assert "lists http://localhost:1 twice" in refused({"S3D_ENDPOINT": "http://localhost:1,http://localhost:1"})


def test_an_unreadable_certificate_is_told_by_check_paths(tmp_path: Path) -> None:
    loaded = load({}, {"S3D_REMOTE_CA_BUNDLE": str(tmp_path / "none.pem")})
    with pytest.raises(ConfigError, match=r"S3D_REMOTE_CA_BUNDLE: .*none\.pem is not a file"):
        loaded.check_paths()


def test_a_local_dir_that_cannot_be_made_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [warning] = load({}, {"S3D_LOCAL_DIR": str(tmp_path / "file" / "dir")}).check_paths()
    assert warning.startswith("S3D_LOCAL_DIR: ")


def test_a_local_dir_that_can_be_made_is_accepted(tmp_path: Path) -> None:
    assert load({}, {"S3D_LOCAL_DIR": str(tmp_path / "a" / "b")}).check_paths() == ()
    assert not os.path.exists(tmp_path / "a")


# --- secrets


def test_no_form_of_the_configuration_shows_a_secret() -> None:
    environ = IDENTITY | {"AWS_SECRET_ACCESS_KEY": "hidden-aws", "HTTPS_PROXY": "http://u:hidden-proxy@p:1"}
    loaded = load({}, environ)
    shown = f"{loaded!r} {loaded} {config.settings(loaded, environ)} {msgspec.structs.asdict(loaded)}"
    assert "hidden" not in shown
    assert "AKIDEXAMPLE" in shown


def test_a_secret_on_the_command_line_is_warned_about() -> None:
    loaded = load({"access_key_id": "AKID", "secret_access_key": "hidden"}, {})
    assert any("process list" in warning for warning in loaded.warnings)


def test_settings_show_the_aws_variables_that_are_set() -> None:
    environ = {"AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "hidden"}
    lines = {line.name: line.value for line in config.settings(load({}, environ), environ)}
    assert (lines["AWS_PROFILE"], lines["AWS_SESSION_TOKEN"]) == ("production", "***")
    assert "AWS_ROLE_ARN" not in lines


# --- filters


@pytest.mark.parametrize("name", ["S3D_WRITE_QUEUE_FILTER", "S3D_READ_CACHE_FILTER"])
def test_a_filter_that_does_not_parse_is_refused_with_the_place(name: str) -> None:
    assert refused({name: "logs/*[tga:x]"}) == (
        f"{name} (from environment {name}) is not a filter that can be used: line 1, column 8: "
        "no attribute is called tga; did you mean tag?\n    logs/*[tga:x]\n           ^^^"
    )


def test_a_filters_files_are_looked_at_before_the_start() -> None:
    loaded = load({}, {"S3D_READ_CACHE_FILTER": "@/nowhere/hot"})
    with pytest.raises(ConfigError, match=r"S3D_READ_CACHE_FILTER .*the file /nowhere/hot cannot be read"):
        loaded.check_paths()


def test_filters_are_not_set_by_default_and_exclude_what_they_cannot_know() -> None:
    loaded = load({}, {})
    assert (loaded.write_queue_filter, loaded.read_cache_filter, loaded.filter_unknown) == (None, None, "exclude")
    assert "exclude, include" in refused({"S3D_FILTER_UNKNOWN": "maybe"})


def test_a_filter_is_a_list_or_lines_in_the_file_and_a_comment_ends_with_its_item(tmp_path: Path) -> None:
    environ = toml(tmp_path, 'read_cache_filter = ["logs/* # hot", "!logs/tmp/*"]')
    assert load({}, environ).read_cache_filter == "logs/* # hot\n!logs/tmp/*"
    environ = toml(tmp_path, 'read_cache_filter = """\nlogs/*\n!logs/tmp/* # not these\n"""')
    assert load({}, environ).read_cache_filter == "logs/*\n!logs/tmp/* # not these"
