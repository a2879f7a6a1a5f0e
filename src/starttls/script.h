/* SPDX-License-Identifier: Apache-2.0 */
/* A script as it is kept: flat arrays that refer to each other by index. Private to starttls/. */
#ifndef CARDEA_STARTTLS_SCRIPT_H
#define CARDEA_STARTTLS_SCRIPT_H

#include "starttls/starttls.h"

#define NO_INDEX UINT16_MAX
#define VARS_MAX 64

/* How the peer's bytes are cut into units. */
enum unit_kind {
    UNIT_LINE,   /* up to LF; a CR before it is left out. Another CR or a zero byte in it is of no protocol */
    UNIT_TAG,    /* of XML: up to '>', or a word of text; blanks before it are left out */
    UNIT_BYTES,  /* as many as `a` says */
    UNIT_FRAME,  /* with a length field */
    UNIT_BER,    /* a TLV (X.690) */
    UNIT_TELNET, /* a command or a byte of data (RFC 854) */
    UNIT_STREAM, /* whatever has come, without cutting: patterns look for text in it */
    UNIT_CONTENT, /* a client's mail, in pieces as they come, and an empty unit for its end; the server's
                   * words are lines meanwhile */
};

struct unit {
    enum unit_kind kind;
    uint8_t width; /* UNIT_FRAME: bytes of the length field */
    bool little;   /* ... least significant byte first */
    uint32_t at;   /* ... and where it stands */
    uint32_t more; /* bytes of a unit that the length does not count; UNIT_BYTES: their number */
};

/* One step of a pattern or a template. */
enum op_kind {
    OP_TEXT,  /* these bytes; in a pattern letters match in either case */
    OP_BYTES, /* pattern: `len` pairs of how and value */
    OP_VAR,   /* template: what is remembered */
    OP_WORD,  /* pattern: bytes that are neither blank nor control characters, one at least, up to the first
               * byte of the text that follows */
    OP_REST,  /* pattern: any bytes, up to the text that follows, or the end. A text that ends the pattern is
               * at  the unit's end */
    OP_ANY,   /* pattern: `len` bytes */
    OP_CSTR,  /* pattern: bytes up to a zero, and that */
    OP_PAIRS, /* pattern: pairs of such, up to an empty key or one that begins with the text that follows */
    OP_TAG,   /* pattern: a BER tag `len` and its length, whose value goes to the unit's end at most */
    OP_TLV,   /* pattern: a whole BER element of tag `len` */
    OP_OPEN,  /* template: a function of what follows, up to its OP_CLOSE */
    OP_CLOSE,
};

enum function { FN_LEN8, FN_SIZE32, FN_PACKET24, FN_BASE64, FN_XTEXT, FN_XML };

struct op {
    uint8_t kind;
    uint8_t fn;
    uint16_t var; /* what is captured, or used; NO_INDEX */
    uint32_t at;  /* bytes in the script's text */
    uint32_t len;
};

/* How a byte of OP_BYTES is compared: all of it, none of it, or only these bits, which must be set. */
enum byte_how { BYTE_IS, BYTE_ANY, BYTE_BITS };

struct seq { /* of ops */
    uint16_t first;
    uint16_t n;
};

enum action_kind {
    ACT_SEND,
    ACT_SET,
    ACT_ADD, /* to what is there, a line more */
    ACT_GO,
    ACT_STAY,
    ACT_SWITCH,
    ACT_DONE,
    ACT_PLAIN,
    ACT_BYE,
    ACT_MISSING,
    ACT_REFUSED,
    ACT_WRONG,
    /* of relays: */
    ACT_REPLY,   /* to who has spoken; ACT_SEND goes to the other */
    ACT_PATCH,   /* the unit, a byte of it */
    ACT_STRIP,   /* a word out of the unit */
    ACT_FORWARD, /* the unit, as it is by then */
    ACT_KEEP,    /* the unit is seen once more within TLS */
    ACT_DROP,    /* the last byte of what is remembered */
};

/* What becomes of a byte. */
enum patch_how { PATCH_UP, PATCH_DOWN, PATCH_SET, PATCH_CLEAR };

struct action {
    uint8_t kind;
    uint8_t how;   /* ACT_PATCH: enum patch_how */
    uint8_t value; /* ... by how much, or which bits */
    uint16_t at;   /* ... counted from where the text of the variable begins */
    uint16_t to;   /* variable, state or section; NO_INDEX */
    struct seq text;
};

struct range {
    uint16_t first;
    uint16_t n;
};

struct cond {
    uint16_t var;
    bool negated;
};

/* Whom a rule is for. */
enum rule_side { RULE_PEER, RULE_NEAR, RULE_FAR };

struct rule {
    uint8_t side;
    struct range conds;
    struct range patterns; /* any of them */
    struct range actions;
    uint32_t has_at; /* a word that the unit must contain; has_len 0: none */
    uint32_t has_len;
};

struct state {
    uint32_t name_at; /* NUL-terminated in the text */
    struct unit unit;
    bool near_waits; /* what the client says is not looked at here */
    struct range rules;
};

struct section {
    uint32_t name_at;
    bool relays;   /* its rules are for two sides */
    bool switches; /* ... and TLS begins in it */
    struct range begin_conds;
    struct range begin; /* actions, where all of those hold */
    struct range states;
};

struct starttls {
    char *name;
    uint16_t port;
    char *alpn;        /* or NULL */
    uint16_t user_max; /* bytes of a user's name that the server looks at; 0: all */
    bool premature;    /* its peers end TLS without close_notify */
    struct unit unit;  /* where a state says nothing else */
    struct seq welcome;
    uint16_t unit_var; /* the variable that is the present unit; NO_INDEX: not used */
    struct buf text;
    struct op *ops;
    struct seq *patterns;
    struct cond *conds;
    struct action *actions;
    struct rule *rules;
    struct state *states;
    struct section *sections;
    int16_t known[STARTTLS_SECTIONS]; /* their numbers; -1: there is none */
    uint32_t vars[VARS_MAX];          /* names */
    uint16_t ops_len, patterns_len, conds_len, actions_len, rules_len, states_len, sections_len, vars_len;
};

static inline const char *script_text(const struct starttls *p, uint32_t at)
{
    return (const char *)p->text.data + at;
}

/* ---- unit.c ---- */

enum unit_status { UNIT_MORE, UNIT_WHOLE, UNIT_BAD, UNIT_LONG };

/* Cut a unit off the front: *ret_unit is its bytes, *ret_used what it takes with what is left out. */
enum unit_status unit_cut(const struct unit *u, const uint8_t *data, size_t len, struct str *ret_unit,
                          size_t *ret_used);

/* The same of a mail's content (RFC 5321, 4.1.1.4), which is endless. `before`: the two bytes before `data`,
 * CR LF at its beginning. *ret_unit is empty for its end, the line that is a dot. UNIT_BAD: a dot that not
 * every server takes for the end, but some might. */
enum unit_status unit_cut_content(const uint8_t before[2], const uint8_t *data, size_t len,
                                  struct str *ret_unit, size_t *ret_used);

/* A BER element's header (X.690, 8.1): bytes of tag and length, and of the value. -1: more is needed, -2: not
 * one of ours (long tags, indefinite or very long lengths). Else the header's length. */
int ber_header(const uint8_t *data, size_t len, size_t *ret_value);

/* ---- match.c ---- */

/* What a pattern has captured: `v` is indexed by variable, p NULL where nothing was. */
struct captures {
    struct str v[VARS_MAX];
};

bool pattern_matches(const struct starttls *p, struct seq pattern, struct str unit, struct captures *ret);

/* Does the unit contain the word, between blanks, brackets, quotes or ends? */
bool unit_has_word(struct str unit, struct str word);

/* The same, does it stand at this place? */
bool unit_word_at(struct str unit, size_t at, struct str word);

#endif
