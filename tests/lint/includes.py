# SPDX-License-Identifier: Apache-2.0
"""Checks every #include against the table "Who may include what" in
ARCHITECTURE.md: rows of `folder` | own folders | third-party headers, where a
third-party header may be tied to files: `header (file, file)`."""
import pathlib
import re
import sys

HEADING = "## Who may include what"
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
LIBC = re.compile(r"^(arpa|linux|net|netinet|sys|bits)/|^[a-z0-9_]+\.h$")
THIRD = re.compile(
    r"^(uv\.h|openssl/|nghttp2/|llhttp\.h|jansson\.h|yaml\.h|curl/|re2/)")


def read_table(text):
    rows = {}
    section = text.split(HEADING, 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not cells[0].startswith("`"):
            continue
        folder = cells[0].strip("`")
        own = re.findall(r"`([^`]+)`", cells[1])
        third = {}
        for m in re.finditer(r"`([^`]+)`(?:\s*\(([^)]*)\))?", cells[2]):
            files = re.findall(r"[\w*.-]+", m.group(2) or "")
            third[m.group(1)] = files
        rows[folder] = (own, third)
    return rows


def folder_of(path, rows):
    best = ""
    for folder in rows:
        if (path == folder or path.startswith(folder + "/")) and \
                len(folder) > len(best):
            best = folder
    return best


def home_of(include):
    """The folder that an include of our own belongs to."""
    m = re.match(r"eastwest/([a-z]+)/", include)
    return f"lib/{m.group(1)}" if m else str(pathlib.PurePath(include).parent)


def allowed_third(include, name, third):
    for header, files in third.items():
        if include == header or include.startswith(header.rstrip("*")) and \
                header.endswith("*"):
            return not files or any(
                pathlib.PurePath(name).match(f) for f in files)
    return False


def check(root, rows):
    problems = []
    sources = [p for top in ("lib", "include", "sidecar", "controller",
                             "injector", "init")
               for ext in ("*.c", "*.h", "*.cc")
               for p in (root / top).rglob(ext)]
    for path in sorted(sources):
        name = str(path.relative_to(root))
        m = re.match(r"include/eastwest/([a-z]+)/", name)
        folder = f"lib/{m.group(1)}" if m else folder_of(name, rows)
        if folder not in rows:
            problems.append(f"{name}: its folder is not in the table")
            continue
        own, third = rows[folder]
        for quote, include in INCLUDE.findall(path.read_text()):
            if THIRD.match(include):
                if not allowed_third(include, path.name, third):
                    problems.append(f"{name}: may not include <{include}>")
            elif quote == '"':
                if "/" not in include:
                    include = f"{folder}/{include}"
                home = folder_of(home_of(include), rows) or home_of(include)
                if home != folder and home not in own:
                    problems.append(f'{name}: {folder} may not use {home} '
                                    f'("{include}")')
            elif not LIBC.match(include) and "." in include:
                problems.append(f"{name}: <{include}> is not known")
    return problems, len(sources)


def main():
    root = pathlib.Path(sys.argv[1])
    rows = read_table((root / "ARCHITECTURE.md").read_text())
    problems, count = check(root, rows)
    for p in problems:
        print(f"includes: {p}")
    if not problems:
        print(f"includes: {count} files keep the table")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main())
