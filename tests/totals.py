# SPDX-License-Identifier: Apache-2.0
"""Adds up JUnit reports: "N passed, N failed". A skipped test is a failed one."""
import sys
import xml.etree.ElementTree as ET


def main(paths):
    passed = failed = 0
    for path in paths:
        try:
            cases = ET.parse(path).getroot().iter("testcase")
        except (OSError, ET.ParseError) as e:
            print(f"totals: {path}: {e}", file=sys.stderr)
            failed += 1
            continue
        for case in cases:
            kinds = {child.tag for child in case}
            bad = kinds & {"failure", "error", "skipped"}
            if bad or case.get("status") in ("fail", "notrun", "disabled"):
                failed += 1
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
