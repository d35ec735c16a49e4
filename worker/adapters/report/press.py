"""The typst compiler in a process of its own: a program that reads an order and writes a PDF.

The compiler fetches packages of its registry by itself and has no switch against it, so it runs where the
way to the network is a proxy that cannot be. A layout that never ends, or that needs more memory than there
is, takes this process and not the worker's. Nothing of ours is imported here: it starts within milliseconds.
"""

import json
import resource
import sys
from typing import cast

import typst

NOWHERE = "/dev/null/packages"  # no package is installed here, and none can be


def main() -> int:
    """Compile `layout.typ` of the working directory; exit status 1 and the diagnostics where it cannot be."""
    order = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (order["seconds"], order["seconds"]))
    resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
    compiler = typst.Compiler(
        input="layout.typ",
        root=".",
        font_paths=typst.Fonts(font_paths=order["fonts"]),
        sys_inputs={"report": json.dumps(order["report"])},
        package_path=NOWHERE,
        package_cache_path=NOWHERE,
    )
    try:
        pdf = compiler.compile(format="pdf", pdf_tags=order["tagged"], timestamp=order["report"]["timestamp"])
    except typst.TypstError as error:
        sys.stdout.write(json.dumps({"message": error.message, "diagnostic": error.diagnostic}))
        return 1
    sys.stdout.buffer.write(cast("bytes", pdf))
    return 0


if __name__ == "__main__":
    sys.exit(main())
