"""The mail sink of the embedded default: an SMTP server on loopback that stores every mail and sends none on.

`python -m ops.mail` is the server, `jobyard mail` reads what it stored. The server must stay small: it
imports neither a database, nor a broker, nor what reads mails; and what a mail is about must not live here.
"""
