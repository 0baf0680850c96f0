# SPDX-License-Identifier: Apache-2.0
"""Small rules that a compiler does not know: licence line, no file above 600
lines, no marks of unfinished work."""
import pathlib
import re
import subprocess
import sys

CODE = {".c", ".h", ".cc", ".py", ".go", ".cmake"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MAX_LINES = 600  # tests: tables may be longer
MAX_TEST_LINES = 900


def main():
    root = pathlib.Path(sys.argv[1])
    names = subprocess.run(["git", "-C", root, "ls-files"], check=True,
                           capture_output=True, text=True).stdout.split("\n")
    problems = []
    for name in filter(None, names):
        path = root / name
        if path.suffix not in CODE or not path.is_file():
            continue
        lines = path.read_text().splitlines()
        if not any("SPDX-License-Identifier: Apache-2.0" in line
                   for line in lines[:3]):
            problems.append(f"{name}: no SPDX-License-Identifier line")
        most = MAX_TEST_LINES if name.startswith("tests/") else MAX_LINES
        if len(lines) > most:
            problems.append(f"{name}: {len(lines)} lines, more than {most}")
        for number, line in enumerate(lines, 1):
            if UNFINISHED.search(line) and name != "tests/lint/sources.py":
                problems.append(f"{name}:{number}: unfinished work")
    for p in problems:
        print(f"sources: {p}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
