"""A page as PDF, through WeasyPrint, which needs Pango and a Chinese font; imported only when it is asked for."""

import shutil
import subprocess
from typing import Any

from ingestd.errors import AuditError

FONT = "fonts-noto-cjk"


def pdf(html: str) -> bytes:
    """The page as PDF. Raises ``AuditError`` when this machine cannot make it; the sentence says what is missing."""
    weasyprint = _weasyprint()
    _need_font()
    fetcher = weasyprint.URLFetcher(allowed_protocols=frozenset())
    return bytes(weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf())


def _weasyprint() -> Any:
    try:
        import weasyprint  # noqa: PLC0415  # seconds to import, and only the central extra has it
    except (ImportError, OSError) as error:
        missing = str(error).splitlines()[0]
        raise AuditError(
            f"no PDF: WeasyPrint cannot be loaded ({missing}); packages libpango-1.0-0, libpangoft2-1.0-0,"
            " libharfbuzz-subset0"
        ) from error
    return weasyprint


def _need_font() -> None:
    """Without a Chinese font a page of Chinese would be a page of boxes."""
    tool = shutil.which("fc-list")
    if tool is None:
        raise AuditError(
            f"no PDF: fc-list is not here to tell whether there is a Chinese font; packages fontconfig, {FONT}"
        )
    found = subprocess.run([tool, ":lang=zh-cn", "family"], capture_output=True, check=False)
    if not found.stdout.strip():
        raise AuditError(f"no PDF: there is no Chinese font; package {FONT} or fonts-wqy-microhei 没有中文字体")
