"""A page in headless Chromium: what it draws, and what it complains about."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
"""The browser, or None where there is none."""

_PROBE = """
<script>
(() => {{
  const wait = () => {{
    if (document.body.dataset.drawn === undefined) return setTimeout(wait, 20);
    const found = document.createElement("pre");
    found.id = "found-by-test";
    try {{ found.textContent = JSON.stringify({expression}); }}
    catch (error) {{ console.error(error); }}
    document.body.append(found);
  }};
  wait();
}})();
</script>
</body>
"""


def browse(page: Path, expression: str, profile: Path) -> tuple[Any, list[str]]:
    """Open a page and evaluate JavaScript once all is drawn.

    Parameters
    ----------
    page : its file
    expression : of JavaScript, whose value JSON can hold
    profile : a directory for the browser

    Returns
    -------
    The value, None if the page was never finished, and the lines of the browser's console.
    """
    assert CHROMIUM is not None
    probed = page.with_name(f"probed-{page.name}")
    text = page.read_text(encoding="utf-8")
    assert text.count("</body>") >= 1
    start, _, end = text.rpartition("</body>")
    probed.write_text(start + _PROBE.format(expression=expression) + end, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={profile}",
            "--window-size=1100,1400",
            "--virtual-time-budget=20000",
            "--enable-logging=stderr",
            "--dump-dom",
            probed.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="found-by-test">(.*?)</pre>', done.stdout, re.DOTALL)
    value = json.loads(html.unescape(found[1])) if found and found[1] else None
    return value, console
