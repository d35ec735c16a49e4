"""The mail server behind the port `Mailer`: MIME, SMTP, and a connection that is kept.

`smtplib` speaks the protocol, over a socket whose every wait is bounded. Who may be mailed, and when a
mail is tried again, must not live here.
"""

from worker.adapters.mail.mailer import SmtpMailer

__all__ = ["SmtpMailer"]
