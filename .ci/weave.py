"""Many changes of a Rust source in one program, which does at most one of them, as the environment says.

A function with changes becomes a `match` over them: each arm is the whole body with one change, the last one
the body as it is. So hundreds of mutants cost one build, and each of them only a run of the tests.
"""

import re

# The variable that says which one; without it the program is what it was.
VARIABLE = "UPLINE_MUTANT"
SWITCH = f"""
/// Which of the woven changes is done: 0 for none.
pub fn woven() -> u32 {{
    static NUMBER: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {{
        std::env::var("{VARIABLE}").map_or(0, |number| number.parse().expect("a number"))
    }});
    *NUMBER
}}
"""
# Strings, characters and comments, in which a brace is none. A lifetime is not a character.
OPAQUE = re.compile(r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\[^\n]*?|[^\'\\])\'',
                    re.DOTALL)


def offset(starts, place):
    """Of a line and a column, which both begin with 1."""
    return starts[place["line"] - 1] + place["column"] - 1


def body_of(text, begin, end):
    """Where the body of a function begins and ends, braces not included: the braces that end with it. None
    for a function whose body cannot be an arm.
    """
    plain = OPAQUE.sub(lambda match: " " * len(match[0]), text[begin:end])
    depth, opened = 0, None
    for at, character in enumerate(plain):
        if character == "{":
            opened = at if depth == 0 else opened
            depth += 1
        elif character == "}":
            depth -= 1
    signature = plain[:opened]
    # One is evaluated by the compiler, the other has a type of its own in each arm.
    if opened is None or depth != 0 or re.search(r"\bconst fn\b|->.*\bimpl\b", signature, re.DOTALL):
        return None
    return begin + opened + 1, begin + plain.rindex("}")


def weave(text, mutants):
    """The text with all of these in it: `(number, mutant)` as `cargo mutants` lists them, all of this file.
    Returns it with the lines of each arm, `number: (first, last)`; what is not among them could not be
    woven."""
    starts = [0] + [match.end() for match in re.finditer("\n", text)]
    functions = {}
    for number, mutant in mutants:
        if mutant["function"]:
            span = mutant["function"]["span"]
            place = (offset(starts, span["start"]), offset(starts, span["end"]))
            functions.setdefault(place, []).append((number, mutant))
    pieces, lines, done, line = [], {}, 0, 1

    def put(piece):
        nonlocal line
        pieces.append(piece)
        line += piece.count("\n")

    for (begin, end), inside in sorted(functions.items()):
        body = body_of(text, begin, end) if done <= begin else None
        if body is None:
            continue
        first, last = body
        put(text[done:first])
        put("\nmatch crate::woven() {\n")
        for number, mutant in inside:
            start, stop = offset(starts, mutant["span"]["start"]), offset(starts, mutant["span"]["end"])
            if first <= start and stop <= last:
                began = line
                put(f"{number} => {{\n{text[first:start]}{mutant['replacement']}{text[stop:last]}\n}}\n")
                lines[number] = (began, line - 1)
        put(f"_ => {{\n{text[first:last]}\n}}\n}}\n")
        done = last
    put(text[done:])
    return "".join(pieces), lines
