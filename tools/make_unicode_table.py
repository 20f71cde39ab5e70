#!/usr/bin/env python3
"""Makes src/data/unicode_table.h from the Unicode Character Database (Debian: unicode-data).

    tools/make_unicode_table.py [FOLDER] > src/data/unicode_table.h

A table must have the classes of the version that Hugging Face's tokenizers were built with, so code
points that are younger are left out: 16.0 for the classes of their regular expressions, 9.0 for
their NFC. FOLDER (/usr/share/unicode) may hold that version or a younger one.
"""
import sys

CLASSES_VERSION, NFC_VERSION = (16, 0), (9, 0)
LETTER, NUMBER, SPACE, WORD, JOINS = 1, 2, 4, 8, 16


def lines(folder, name):
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        for line in file:
            fields = [field.strip() for field in line.split("#")[0].split(";")]
            if len(fields) > 1:
                yield fields


def code_points(text):
    first, _, last = text.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    age, classes = {}, [0] * 0x110000
    for where, version in lines(folder, "DerivedAge.txt"):
        for c in code_points(where):
            age[c] = tuple(int(part) for part in version.split("."))
    newest = max(age.values())
    if newest < CLASSES_VERSION:
        sys.exit(f"{folder} is of Unicode {newest}, needed is {CLASSES_VERSION} or a younger one")

    def add(where, flag, version=CLASSES_VERSION):
        for c in where:
            if age.get(c, (99,)) <= version:
                classes[c] |= flag

    first = None
    for code, name, category, combining, *_ in lines(folder, "UnicodeData.txt"):
        if name.endswith(", First>"):
            first = code
            continue
        where = code_points(f"{first or code}..{code}")
        first = None
        if category[0] == "L":
            add(where, LETTER)
        if category[0] == "N":
            add(where, NUMBER)
        if category[0] == "M" or category in ("Nd", "Pc"):
            add(where, WORD)
        if combining != "0":
            add(where, JOINS, NFC_VERSION)
    for where, name, *_ in lines(folder, "PropList.txt"):
        if name == "White_Space":
            add(code_points(where), SPACE)
        if name == "Join_Control":
            add(code_points(where), WORD)
    for where, name, *_ in lines(folder, "DerivedCoreProperties.txt"):
        if name == "Alphabetic":
            add(code_points(where), WORD)
    for where, name, *value in lines(folder, "DerivedNormalizationProps.txt"):
        if name == "NFC_QC" and value[0] in ("N", "M"):
            add(code_points(where), JOINS, NFC_VERSION)

    print("// Made by tools/make_unicode_table.py from the Unicode Character Database: classes of Unicode"
          "\n// 16.0, TS_JOINS of 9.0. Ranges {first, last, classes}; what lies between them has none.")
    print("static const ts_unicode_range unicode_ranges[] = {")
    row, c = "   ", 0
    while c < len(classes):
        last = c
        while last + 1 < len(classes) and classes[last + 1] == classes[c]:
            last += 1
        if classes[c]:
            item = f" {{0x{c:X}, 0x{last:X}, {classes[c]}}},"
            if len(row) + len(item) > 100:
                print(row)
                row = "   "
            row += item
        c = last + 1
    print(row)
    print("};")


main()
