"""Templates of mails: filled in, and confined."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worker import definitions
from worker.adapters.templates import JinjaTemplates, check
from worker.contract import Fatal
from worker.contract.ports import Content

TOML = """
[parameters.name]
type = "text"

[parameters.count]
type = "integer"
required = false
"""

Write = Callable[..., JinjaTemplates]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the template `welcome`, and load it."""

    def written(subject: str = "Hello", text: str = "Hi", **files: str) -> JinjaTemplates:
        folder = tmp_path / "templates" / "welcome"
        folder.mkdir(parents=True)
        named = {"subject.txt": subject, "body.txt": text, "template.toml": TOML}
        for name, content in (named | {name.replace("_", "."): file for name, file in files.items()}).items():
            (folder / name).write_text(content)
        return JinjaTemplates(definitions.load(tmp_path))

    return written


def render(templates: JinjaTemplates, **variables: Any) -> Content:
    return templates.render("welcome", {"name": "Zoë <b> & co"} | variables)


def test_values_are_filled_in_and_escaped_in_html_alone(write: Write) -> None:
    templates = write("Hello {{ name }}\n", "Hi {{ name }}{{ count }}\n", body_html="<p>{{ name }}</p>")
    assert render(templates) == Content(
        subject="Hello Zoë <b> & co",
        text="Hi Zoë <b> & co",
        html="<p>Zoë &lt;b&gt; &amp; co</p>",
    )


def test_what_html_includes_is_escaped_too(write: Write) -> None:
    templates = write(text="x", body_html="{% include 'part.txt' %}", part_txt="{{ name }}")
    assert render(templates, name="<script>").html == "&lt;script&gt;"


def test_blocks_leave_no_empty_lines(write: Write) -> None:
    assert render(write(text="a\n  {% if count %}\nb\n  {% endif %}\nc"), count=1).text == "a\nb\nc"


@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nBcc: eve@example.org", "\x00", "\u2028", "=?utf-8?q?a?="])
def test_a_subject_is_one_line(write: Write, hostile: str) -> None:
    with pytest.raises(Fatal, match=r"the template 'welcome', subject\.txt: (holds a line break|is encoded)"):
        render(write("Hello {{ name }}"), name=hostile.replace("\x00", "\x01"))


def test_a_subject_is_short(write: Write) -> None:
    templates = write("{{ name }}")
    assert len(render(templates, name="x" * 500).subject) == 500
    with pytest.raises(
        Fatal, match=r"^the template 'welcome', subject\.txt: has 501 characters, at most 500"
    ):
        render(templates, name="x" * 501)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("\n{{ ''.__class__ }}", r"body\.txt:2: access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ ''['__class__'] }}", "access to attribute '__class__'"),
        ("{{ (''|attr('__class__')).__mro__ }}", "__class__"),
        ("{{ name.format.__globals__ }}", "__globals__"),
        ("{{ '{0.__class__}'.format(name) }}", "__class__"),
        ("{{ self.__init__.__globals__ }}", "unsafe|__init__"),
        ("{{ cycler.__init__.__globals__ }}", "__init__"),
        ("{% set l = [] %}{{ l.append(1) }}", "append"),
        ("{% include '../../secret.txt' %}", r"there is no file '\.\./\.\./secret\.txt' in its folder"),
        ("{% include '/etc/passwd' %}", "there is no file '/etc/passwd' in its folder"),
        ("{% include name %}", "there is no file"),
        ("\n\n{{ nam }}", r"body\.txt:3: 'nam' is undefined"),
        ("{{ name.nix }}", "has no attribute 'nix'"),
        ("{{ range(99999999)|list }}", "ranges of more than 100000 numbers in all"),
        ("{{ range(10**40)|list }}", "ranges of more than 100000 numbers in all"),
        (
            "{% for a in range(99999) %}{% for b in range(9) %}{% endfor %}{% endfor %}",
            "ranges of more than 100000",
        ),
        ("{% for a in range(99999) %}abcdefghijklmnop{% endfor %}", "makes more than 1048576 characters"),
        ("{{ 'x' * 10**9 }}", "a repetition of more than"),
        ("{{ 10**9 * [name] }}", "a repetition of more than"),
        ("{{ 9**(9**9) }}", "a power with an exponent above"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{% if %}", r"body\.txt:1: Expected an expression"),
    ],
)
def test_a_template_that_goes_astray_is_fatal_and_told(write: Write, template: str, reason: str) -> None:
    templates = write(text=template)
    with pytest.raises(Fatal, match=f"^the template 'welcome', .*({reason})"):
        render(templates)


def test_a_link_out_of_the_folder_is_not_followed(write: Write, tmp_path: Path) -> None:
    templates = write(text="{% include 'link.txt' %}")
    (tmp_path / "secret.txt").write_text("hush")
    (tmp_path / "templates/welcome/link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(Fatal, match=r"there is no file 'link\.txt' in its folder"):
        render(templates)


@pytest.mark.parametrize(
    ("name", "variables", "reason"),
    [
        ("nix", {}, "there is no template 'nix'"),
        ("../welcome", {}, "there is no template"),
        ("welcome", {}, "the template 'welcome': the parameter 'name' is missing"),
        ("welcome", {"name": 1}, "the template 'welcome': name: expected `string`"),
        ("welcome", {"name": "a", "nix": 1}, "the template 'welcome': there is no parameter 'nix'"),
    ],
)
def test_a_wish_that_does_not_fit_is_fatal(
    write: Write, name: str, variables: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Fatal, match=reason):
        write().render(name, variables)


def test_templates_are_checked_before_anybody_needs_them(write: Write, tmp_path: Path) -> None:
    write(
        "{{ name }} {{ nam }}",
        "a\n\n{{ name|nix }}",
        body_html="{% for n in range(count) %}\n{{ n }",
        part_html="{% if %}",
    )
    folder = tmp_path / "templates/welcome"
    faults = check(definitions.load(tmp_path))
    assert [(fault.file.relative_to(folder).name, fault.line) for fault in faults] == [
        ("body.html", 2),
        ("body.txt", 3),
        ("part.html", 1),
        ("subject.txt", 1),
    ]
    assert "No filter named 'nix'" in faults[1].reason
    assert faults[3].reason == "'nam' is no parameter of this template"


def test_templates_that_are_fine_have_no_faults(write: Write, tmp_path: Path) -> None:
    write(
        "{{ name }}",
        "{% for n in range(count or 0) %}{% include 'part.txt' %}{% endfor %}",
        part_txt="{{ n }}",
    )
    assert check(definitions.load(tmp_path)) == []
