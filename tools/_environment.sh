# Sourced by the commands beside it; POSIX sh.
#
#     root=...; . "$root/tools/_environment.sh"; make_environment embedded,test
#
# Finds a Python and lets `_environment.py` make the virtual environment with it. Afterwards `python` names the
# environment's interpreter. What the machine lacks is said in one line, with exit status 3.

oldest_python=3.11

is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < (${oldest_python%.*}, ${oldest_python#*.}))" </dev/null >/dev/null 2>&1
}

find_python() {
    if [ -n "${RUNCORD_PYTHON:-}" ]; then
        is_new_enough "$RUNCORD_PYTHON" && echo "$RUNCORD_PYTHON" && return
        echo "RUNCORD_PYTHON=$RUNCORD_PYTHON is not a Python $oldest_python or newer: name one, or unset it." >&2
        return 3
    fi
    # Every directory of PATH: a version manager's shim in the first may answer for nobody but its own user.
    directories=$(IFS=: && set -f && printf '%s\n' $PATH)
    for name in python3 python3.11 python3.12 python3.13 python3.14; do
        while IFS= read -r directory; do
            is_new_enough "$directory/$name" && echo "$directory/$name" && return
        done <<DIRECTORIES
$directories
DIRECTORIES
    done
    echo "Runcord needs Python $oldest_python or newer: install it (Debian 12: apt-get install python3 python3-venv)" \
        "or name one in RUNCORD_PYTHON." >&2
    return 3
}

# make_environment EXTRAS: EXTRAS as in pyproject.toml, separated by commas.
make_environment() {
    found_python=$(find_python) || exit $?
    venv=$("$found_python" -P "$root/tools/_environment.py" "$root" "$1") || exit $?
    python=$venv/bin/python
}
