"""Checks the dashboards, the rules, the runbooks and the metrics they stand on.

    check.py LEVEE                  all checks, with a closing line; LEVEE is the binary
    check.py LEVEE --pictures DIR   also draws each dashboard from what the live Prometheus answers

It needs prometheus and promtool, and the servers named by LEVEE_TEST_POSTGRES and LEVEE_TEST_REDIS: run it as
`make dashboards`.
"""

import pathlib
import sys
import traceback

sys.dont_write_bytecode = True

import live
import pictures
import scenarios
import static


def main():
    """Runs every check, whatever the others say."""
    passed, failed = 0, 0

    def check(what, *given):
        nonlocal passed, failed
        try:
            what(*given)
            passed += 1
        except Exception as error:  # noqa: BLE001 - shown and counted
            failed += 1
            told = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            print(f"FAILED {what.__name__}\n{told}\n")

    for what in [*static.CHECKS, *scenarios.CHECKS]:
        check(what)
    with live.running(sys.argv[1]) as (seen, prometheus):
        for what in live.CHECKS:
            check(what, seen, prometheus)
        if "--pictures" in sys.argv:
            pictures.draw(prometheus, pathlib.Path(sys.argv[sys.argv.index("--pictures") + 1]))
        check(seen.driver.stop)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
