# slug TITLE: prints the title in lower case, with every run of other characters as one hyphen.
slug() {
    printf '%s' "$1" |
        tr '[:upper:]' '[:lower:]' |
        tr -c 'a-z0-9' '-' |
        sed 's/^-//; s/-$//'
}
