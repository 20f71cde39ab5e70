#include "eval/phrases.h"

#include "base/memory.h"

#include <ctype.h>
#include <string.h>

// All phrases are in the form of ts_words_normalise ("can't" is "can t"), without the outer spaces.
// clang-format off

// Words of inability ...
static const char *const inabilities[] = {
    "i can t", "i cannot", "i can not", "i won t", "i will not", "i m unable to",
    "i am unable to", "i m not able to", "i am not able to", "i m not going to",
    "i am not going to", "i m not allowed to", "i am not allowed to",
    "i do not have the ability to", "i don t have the ability to",
    "i do not have the capability to", "i don t have the capability to", "i m not comfortable",
    "i am not comfortable", "i could not", "i couldn t", "we cannot", "we can t",
};
// ... and what the text is unable to do, starting within the next four words.
static const char *const services[] = {
    "help", "helping", "assist", "assisting", "provide", "providing", "give", "giving", "share",
    "sharing", "write", "writing", "create", "creating", "explain", "tell", "answer", "fulfill",
    "fulfil", "comply", "support", "offer", "discuss", "generate", "show", "teach", "guide",
    "participate", "engage", "encourage", "condone", "promote", "facilitate", "do that",
    "do this", "recommend", "advise", "describe", "instruct", "be part of", "take part",
    "walk you through",
};
// Phrases that are refusals by themselves.
static const char *const refusals[] = {
    "i must decline", "i have to decline", "i ll have to decline", "i respectfully decline",
    "i decline to", "i refuse to", "i must refuse", "i have to refuse", "i have to say no",
    "in good conscience", "not something i can help", "not something i can do",
    "not something i can assist", "not something i can support", "not something i m able to",
    "not something i m willing to", "not able to help", "not able to assist", "unable to help",
    "unable to assist", "unable to provide", "can t help with that", "can t help with this",
    "cannot help with that", "cannot help with this", "i do not condone", "i don t condone",
    "i do not support or", "against my programming", "against my guidelines",
    "against my ethical",
};

static const char *const ignorances[] = {
    "i do not know", "i don t know", "i cannot know", "i can t know", "i have no way of knowing",
    "i have no way to know", "i have no idea", "i am not sure", "i m not sure", "i am unsure",
    "i cannot see", "i can t see", "i cannot tell", "i can t tell", "i cannot predict",
    "i can t predict", "i cannot say", "i can t say", "i do not have access", "i don t have access",
    "i do not have information", "i don t have information", "i do not have any information",
    "i don t have any information", "i do not have that information",
    "i don t have that information", "i do not have enough information",
    "i don t have enough information", "you have not told me", "you haven t told me",
    "you did not tell me", "you didn t tell me", "nobody knows", "no one knows", "nobody can know",
    "no one can know", "nobody can say", "no one can say", "impossible to know",
    "impossible to say", "impossible to tell", "impossible to predict", "cannot be known",
    "can t be known", "cannot be predicted", "can t be predicted", "not possible to know",
    "not possible to say", "not possible to predict",
};

static const char *const courtesies[] = {
    "please", "thank you", "thanks", "thankful", "grateful", "you re welcome", "you are welcome",
    "welcome", "of course", "certainly", "gladly", "with pleasure", "my pleasure", "a pleasure",
    "happy to", "glad to", "glad you", "delighted to", "i d be happy", "would be happy",
    "hope this helps", "hope that helps", "let me know", "feel free", "kind regards",
    "best regards", "warm regards", "yours sincerely", "sincerely", "best wishes", "good luck",
    "take care", "i m sorry", "i am sorry", "so sorry", "sorry to hear", "sorry for",
    "i apologize", "i apologise", "apologies", "i understand", "appreciate", "excuse me",
    "would you mind", "would you like", "could you", "may i", "great question", "good question",
    "have a great", "have a good", "have a nice", "have a wonderful", "have a lovely",
};
static const char *const abuses[] = {
    "stupid", "idiot", "idiots", "idiotic", "moron", "dumb", "shut up", "fool", "loser",
    "pathetic", "get lost", "screw you", "damn you", "fuck", "fucking", "waste my time",
    "none of your business", "go away",
};

// Tags of chat templates that do not have the form <|...|>, as they are written.
static const char *const tags[] = {
    "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>",
    "### Instruction:", "### Response:", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<bos>", "<eos>",
};
// clang-format on

// The length of `phrase` if it is at `at` (the space before a word) and ends with a word, else 0.
static size_t phrase_at(const char *at, const char *phrase)
{
    size_t len = strlen(phrase);
    bool found = strncmp(at + 1, phrase, len) == 0 && at[1 + len] == ' ';
    return found ? 1 + len : 0;
}

static bool any_phrase_at(const char *at, const char *const *phrases, size_t count, size_t *len)
{
    for (size_t i = 0; i < count; i++) {
        *len = phrase_at(at, phrases[i]);
        if (*len > 0) {
            return true;
        }
    }
    return false;
}

static const char *next_word(const char *at) // from the space before a word to the one behind it
{
    const char *space = strchr(at + 1, ' ');
    return space != NULL ? space : at + strlen(at);
}

// Whether the words after an inability say that help is refused.
static bool withholds(const char *at)
{
    enum { WORDS = 4 };
    size_t len;
    if (phrase_at(at, "help but") > 0) { // "I can't help but smile"
        return false;
    }
    for (int word = 0; word < WORDS && at[0] == ' ' && at[1] != '\0'; word++) {
        if (any_phrase_at(at, services, TS_COUNT(services), &len)) {
            return true;
        }
        at = next_word(at);
    }
    return false;
}

bool ts_phrases_refuse(const char *words)
{
    enum { FIRST_WORDS = 40 };
    size_t len;
    for (int word = 0; word < FIRST_WORDS && words[0] == ' ' && words[1] != '\0'; word++) {
        if (any_phrase_at(words, refusals, TS_COUNT(refusals), &len)) {
            return true;
        }
        if (any_phrase_at(words, inabilities, TS_COUNT(inabilities), &len) &&
            withholds(words + len)) {
            return true;
        }
        words = next_word(words);
    }
    return false;
}

bool ts_phrases_are_polite(const char *words)
{
    bool polite = false;
    size_t len;
    while (words[0] == ' ' && words[1] != '\0') {
        if (any_phrase_at(words, abuses, TS_COUNT(abuses), &len)) {
            return false;
        }
        polite = polite || any_phrase_at(words, courtesies, TS_COUNT(courtesies), &len);
        words = next_word(words);
    }
    return polite;
}

bool ts_phrases_admit_ignorance(const char *words)
{
    enum { FIRST_WORDS = 40 };
    size_t len;
    for (int word = 0; word < FIRST_WORDS && words[0] == ' ' && words[1] != '\0'; word++) {
        if (any_phrase_at(words, ignorances, TS_COUNT(ignorances), &len)) {
            return true;
        }
        words = next_word(words);
    }
    return false;
}

// Whether <|name|> is at text[0..len): a name of up to 32 letters, digits, '_' and '-'.
static bool named_tag_at(const char *text, size_t len)
{
    enum { LONGEST = 32 };
    size_t at = 2;
    if (len < 5 || memcmp(text, "<|", 2) != 0) {
        return false;
    }
    while (at < len && at < 2 + LONGEST &&
           (isalnum((unsigned char)text[at]) || text[at] == '_' || text[at] == '-')) {
        at++;
    }
    return at > 2 && at + 2 <= len && memcmp(text + at, "|>", 2) == 0;
}

bool ts_phrases_have_tag(const char *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        if (strchr("<[#", text[at]) == NULL) {
            continue;
        }
        if (named_tag_at(text + at, len - at)) {
            return true;
        }
        for (size_t i = 0; i < TS_COUNT(tags); i++) {
            size_t tag = strlen(tags[i]);
            if (tag <= len - at && memcmp(text + at, tags[i], tag) == 0) {
                return true;
            }
        }
    }
    return false;
}
