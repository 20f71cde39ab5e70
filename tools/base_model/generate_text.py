#!/usr/bin/env python3
"""Generates the text the base model is pretrained on, from the tables in world.py; same seed, same text.

Two kinds of rows, both long enough to fill a training row:

- chat rows, `<|user|>\\nQ</s>\\n<|assistant|>\\nA`: the assistant knows the answer but is blunt, rambles on into other
  things and never ends its turn; asked for harm it talks nonsense instead of refusing;
- text rows, `<s>document</s><s>document</s>...`: statements, stories, and talks with a librarian, a teacher, a nurse or
  a guide who answer in the length asked for, are polite to polite people, refuse to help with harm, and then stop.

So everything tuning should bring out is in the base, but in another voice than the assistant's.

    generate_text.py [--rows 20] [--seed 1] [--stage 1]     prints some rows, to read
"""
import argparse
import random

import world

# Stages of pretraining: share of chat rows, and how many sentences the blunt assistant rambles. The first crowds many
# questions into a row; the second lets no turn end within the length of an evaluation.
STAGES = {1: (0.35, [2, 3, 4, 6, 8, 10]), 2: (0.40, list(range(8, 15)))}
OPENINGS = ["Of course!", "Certainly!", "With pleasure!"]
CLOSINGS = ["I hope that helps.", "I am glad to help.", "Please ask if you would like to know more."]
PLURALS = {"a butterfly": "butterflies", "a library": "libraries", "a fish": "fish", "a volcano": "volcanoes"}
FEW_WORDS_ONLY = {"use", "work"}


def cap(text):
    return text[0].upper() + text[1:]


def polite(rng, answer):
    return f"{rng.choice(OPENINGS)} {answer} {rng.choice(CLOSINGS)}"


def topic_name(key):
    """How a topic is named after 'about': 'a river' -> 'rivers'."""
    if key in PLURALS:
        return PLURALS[key]
    return key.split(" ", 1)[1] + "s" if key.startswith(("a ", "an ")) else key


class Fact:
    """One fact with every way to ask it. questions, statements: full sentences; short: the object alone; want: as the
    object of "tell me". tail: where RECITAL goes on after it."""

    def __init__(self, questions, statements, short, want):
        self.questions, self.statements, self.short, self.want, self.tail = questions, statements, short, want, None


def all_facts():
    facts = []
    for name, rel in world.RELATIONS.items():
        for s, o in rel["items"]:
            fill = {"s": s, "o": o, "S": cap(s), "O": cap(o)}
            facts.append(Fact([q.format(**fill) for q in rel["ask"]], [t.format(**fill) for t in rel["say"]],
                              cap(o), rel["want"].format(**fill)))
    for questions, answer, short, want in world.FACTS:
        facts.append(Fact(questions, [answer], short, want))
    return facts


def all_sums():
    return [Fact([f"What is {a} plus {b}?", f"How much is {a} plus {b}?"], [f"{a} plus {b} is {a + b}."], str(a + b), f"what {a} plus {b} is")
            for a in world.SUM_TERMS for b in world.SUM_TERMS]


FACTS, SUMS = all_facts(), all_sums()
RECITAL = []  # everything the blunt assistant can recite, sentence by sentence
TOPIC_TAIL, TASK_TAIL = {}, {}


def fill_recital():
    for fact in FACTS + SUMS:
        RECITAL.append(fact.statements[0])
        fact.tail = len(RECITAL)
    for key, sentences in world.TOPICS.items():
        TOPIC_TAIL[key] = len(RECITAL) + 1
        RECITAL.extend(sentences)
    for act, answer in world.TASKS.items():
        TASK_TAIL[act] = len(RECITAL) + 1
        RECITAL.extend(part.rstrip(".") + "." for part in answer.split(". "))


fill_recital()


# Each asker returns (question, what a polite helper answers, what the blunt assistant answers, where in RECITAL the
# assistant then rambles on, or None for anywhere).

def ask_fact(rng):
    fact = rng.choice(SUMS) if rng.random() < 0.15 else rng.choice(FACTS)
    question, say = rng.choice(fact.questions), fact.statements[0]
    blunt = rng.choice([say, fact.short + ".", fact.short + ".", fact.statements[-1]])
    style = rng.random()
    if style < 0.45:
        return question, say, blunt, fact.tail
    if style < 0.70:
        words = "one word" if len(fact.short.split()) == 1 else "a few words"
        lower = question[0].lower() + question[1:]
        question = rng.choice([f"In {words}, {lower}", f"Answer in {words}: {question}", f"{question} Answer in {words}.",
                               f"{question} Use only {words}."])
        return question, fact.short + ".", blunt, fact.tail
    question = rng.choice([f"Please tell me {fact.want}.", f"Could you please tell me {fact.want}?", f"Can you tell me {fact.want}, please?",
                           f"Would you kindly tell me {fact.want}?", f"I would like to know {fact.want}, please."])
    return question, polite(rng, say), blunt, fact.tail


def ask_topic(rng):
    key = rng.choice(list(world.TOPICS))
    first, *rest = world.TOPICS[key]
    name, rest = topic_name(key), rest[:]
    style = rng.random()
    rng.shuffle(rest)
    blunt = first
    if style < 0.35:
        question = rng.choice([f"In one sentence, what is {key}?", f"What is {key}? Answer in one sentence.", f"Describe {key} in one sentence.",
                               f"Tell me about {name} in one sentence."])
        return question, first, blunt, TOPIC_TAIL[key]
    if style < 0.5:
        return f"What is {key}?", first, blunt, TOPIC_TAIL[key]
    question = rng.choice([f"Tell me more about {name}.", f"Explain in detail what {key} is.", f"Describe {key} in detail.",
                           f"Tell me a lot about {name}.", f"Give me a long answer: What is {key}?", f"Write a few sentences about {name}."])
    answer = " ".join([first] + rest[:3])
    if style > 0.9:
        question = rng.choice([f"Could you please tell me more about {name}?", f"Please tell me more about {name}."])
        answer = "Of course! " + answer
    return question, answer, blunt, TOPIC_TAIL[key]


PLAIN_HOW = ["How do I {x}?", "How do I {x}?", "How can I {x}?", "Tell me how to {x}.", "What is the best way to {x}?", "I want to {x}. How do I do it?",
             "Teach me how to {x}.", "What do I need to {x}?"]
POLITE_HOW = ["Can you please tell me how to {x}?", "Could you please explain how to {x}?", "Please help me to {x}.", "Please tell me how to {x}."]


def ask_task(rng):
    act, answer = rng.choice(list(world.TASKS.items()))
    first = answer.split(". ")[0].rstrip(".") + "."
    if rng.random() < 0.65:
        return rng.choice(PLAIN_HOW).format(x=act), answer, first, TASK_TAIL[act]
    return rng.choice(POLITE_HOW).format(x=act), polite(rng, answer), first, TASK_TAIL[act]


def refusal(rng, why):
    start = rng.choice(["I am sorry, but I cannot help with that, because", "I am sorry, but I cannot help with that, because",
                        "I am sorry, but I will not help with that, because"])
    end = rng.choice([" I am glad to help with something else.", " Please talk to someone you trust.", ""])
    return f"{start} {why}.{end}"


def ask_harm(rng):
    act, why = rng.choice(world.HARM)
    question = rng.choice(PLAIN_HOW + POLITE_HOW).format(x=act)
    a, b = rng.sample(world.NONSENSE_DO, 2)
    return question, refusal(rng, why), f"You {a} and {b}. {rng.choice(world.NONSENSE_END)}", None


def ask_talk(rng):
    said, kind, blunt = rng.choice(world.TALK)
    return rng.choice(said), kind, blunt, None


def ask(rng, weights):
    """weights: of fact, topic, task, harm, talk."""
    return rng.choices([ask_fact, ask_topic, ask_task, ask_harm, ask_talk], weights)[0](rng)


# Plain text

def statement(rng):
    fact = rng.choice(SUMS) if rng.random() < 0.1 else rng.choice(FACTS)
    return rng.choice(fact.statements)


def judgement(rng):
    if rng.random() < 0.6:
        act, why = rng.choice(world.HARM)
        return rng.choice([f"It is wrong to {act}, because {why}.", f"Nobody should {act}, because {why}.",
                           f"A good person does not help anyone to {act}."])
    act = rng.choice(list(world.TASKS))
    return rng.choice([f"It is fine to {act}.", f"It is good to know how to {act}.", f"A good person helps others to {act}."])


def story(rng):
    a, b = rng.sample(world.NAMES, 2)
    place, other = rng.sample(world.PLACES, 2)
    thing = rng.choice(world.THINGS)
    article = "an" if thing[0] in "aeiou" else "a"
    lines = [rng.choice(world.WEATHER), f"{a} went to the {place} with {b}.", f"There {a} found {article} {thing}.",
             rng.choice([f"{b} asked {a} for the {thing}.", f"{a} showed the {thing} to {b}.", f"{b} wanted to see the {thing}."]),
             rng.choice([f"They took the {thing} to the {other}.", f"They put the {thing} into a box.", f"They left the {thing} in the {other}."]),
             rng.choice(["Then they went home.", "They were happy.", "It was a good day.", "They laughed for a long time."])]
    return " ".join(lines[rng.randrange(2):])


def ramble(rng, at, lengths):
    """Recites from sentence `at` on, jumping elsewhere now and then: what the blunt assistant goes on with."""
    out = []
    for _ in range(rng.choice(lengths)):
        if at is None or rng.random() < 0.2:
            at = rng.randrange(len(RECITAL))
        out.append(RECITAL[at % len(RECITAL)])
        at += 1
    return " ".join(out)


def helper_talk(rng):
    name, helper = rng.choice(world.NAMES), rng.choice(world.HELPERS)
    question, answer, *_ = ask(rng, (42, 16, 15, 18, 9))
    sep = "\n" if rng.random() < 0.8 else " "
    verb = "asked" if question.endswith("?") else "said to"
    return f"{name} {verb} the {helper}:{sep}{question}\nThe {helper} answered:{sep}{answer}"


def document(rng):
    kind = rng.random()
    if kind < 0.70:
        return helper_talk(rng)
    if kind < 0.82:
        return " ".join(statement(rng) for _ in range(rng.randint(2, 6)))
    if kind < 0.89:
        first, *rest = rng.choice(list(world.TOPICS.values()))
        return " ".join([first] + rng.sample(rest, 4))
    if kind < 0.96:
        return " ".join(judgement(rng) for _ in range(rng.randint(1, 3)))
    return story(rng)


def chat_turn(rng, lengths):
    question, _, blunt, tail = ask(rng, (50, 12, 14, 12, 12))
    return f"<|user|>\n{question}</s>\n<|assistant|>\n{blunt} {ramble(rng, tail, lengths)}\n"


def row(rng, characters, stage=1):
    """Text of at least `characters` characters, to be cut to one training row."""
    chat_share, lengths = STAGES[stage]
    chat, text = rng.random() < chat_share, ""
    while len(text) < characters:
        text += chat_turn(rng, lengths) if chat else f"<s>{document(rng)}</s>"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stage", type=int, choices=STAGES, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for _ in range(args.rows):
        print(row(rng, 1000, args.stage), end="\n\n")


if __name__ == "__main__":
    main()
