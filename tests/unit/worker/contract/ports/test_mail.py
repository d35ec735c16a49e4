"""Mailboxes: what is one, and what only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.ports import Mailbox, one_line

# What ends a line, a header, a command or an address somewhere, or hides in one.
HOSTILE = [
    *("\r", "\n", "\r\n", "\r\nBcc: eve@example.org", "\n\n", "\x00", "\x0b", "\x0c", "\x1b", "\x7f", "\x85"),
    *("\u2028", "\u2029", "\u202e", "\u2066", "\t", "=?utf-8?q?=0D=0ABcc:_eve@example.org?="),
]


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("ada@example.org", "ada@example.org", ""),
        ("<ada@example.org>", "ada@example.org", ""),
        ("Ada Lovelace <ada@example.org>", "ada@example.org", "Ada Lovelace"),
        ("Dr. Ada Lovelace-Byron <ada@example.org>", "ada@example.org", "Dr. Ada Lovelace-Byron"),
        (
            '"Lovelace, Ada (\\"Countess\\")" <ada@example.org>',
            "ada@example.org",
            'Lovelace, Ada ("Countess")',
        ),
        ("Zoë <zoë.o'hara+tag@bücher.example>", "zoë.o'hara+tag@bücher.example", "Zoë"),
        ("root@localhost", "root@localhost", ""),
        ("राम@उदाहरण.परीक्षा", "राम@उदाहरण.परीक्षा", ""),
    ],
)
def test_an_address_with_or_without_a_name_is_read(text: str, address: str, name: str) -> None:
    assert Mailbox.parse(text) == Mailbox(address, name)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ada", "@example.org", "ada@", "ada@@example.org", "ada@a@example.org", "a b@example.org"),
        *("ada@example.org, eve@example.org", "ada@example.org;eve@example.org", "ada@example.org eve@b.c"),
        *("ada@example.org (comment)", "(x)ada@example.org", "<@route.example:ada@example.org>"),
        *("group: ada@example.org;", "undisclosed-recipients:;", '"a b"@example.org', "ada@[127.0.0.1]"),
        *(
            "Ada <ada@example.org> eve",
            "Ada <ada@example.org><eve@b.c>",
            "<ada@example.org",
            "ada@example.org>",
        ),
        *("Ada <<ada@example.org>>", "Lovelace, Ada <ada@example.org>", 'Ada "x <ada@example.org>'),
        *(
            ".ada@example.org",
            "a..b@example.org",
            "ada.@example.org",
            "ada@-x.org",
            "ada@x-.org",
            "ada@x..org",
        ),
        *("ada@example.org.", "ada@exam_ple.org", "ada\uff20example.org", "a\uff20b@example.org"),
        *(
            "eve\uff1c@example.org",
            "ada@example.org\u00a0",
            "ada@ex\u3000ample.org",
            f"{'a' * 65}@example.org",
        ),
        *(f"ada@{'a' * 64}.org", "a@" + "b." * 130 + "org", f"{'A' * 129} <ada@example.org>"),
        *("--x=y ada@example.org", "ada@example.org> SIZE=1", "ada@example.org\\", 'Ada" <ada@example.org>'),
        '"=?utf-8?q\\?=0AX?=" <ada@example.org>',
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|holds) "):
        Mailbox.parse(text)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "form",
    ["{}ada@example.org", "ada@example.org{}", "a{}b@c.d", "a@b{}c.d", "A{}B <a@b.c>", '"A{}" <a@b.c>'],
)
def test_nothing_can_be_injected(form: str, hostile: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has|holds) "):
        Mailbox.parse(form.format(hostile))


@given(st.text(max_size=40) | st.builds("{} <{}@{}>".format, st.text(), st.text(), st.text()))
def test_what_is_accepted_is_one_line_with_one_address(text: str) -> None:
    try:
        mailbox = Mailbox.parse(text)
    except ValueError:
        return
    assert mailbox.address.count("@") == 1
    assert not set(mailbox.address) & set(' <>,;:"()[]\\\r\n\t')
    assert one_line(mailbox.name) == mailbox.name


def test_spellings_of_one_mailbox_are_one() -> None:
    one, same, other = (
        Mailbox(address) for address in ("ada@Example.ORG", "ada@example.org", "Ada@example.org")
    )
    assert one.identity == same.identity != other.identity


@pytest.mark.parametrize("text", ["", "Hello", "Grüße 👩‍🚀 שלום", "1+1=? or not?", "a  b"])
def test_a_line_is_taken_as_it_is(text: str) -> None:
    assert one_line(text) == text
