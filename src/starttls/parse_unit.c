/* SPDX-License-Identifier: Apache-2.0 */
/* Reads how the bytes of a peer are cut into units. */
#include "base/check.h"
#include "starttls/parse.h"

/* u8, u16be, u24le ... AT PLUS */
static int read_frame(struct parse *p, struct unit *u)
{
    static const struct {
        const char *word;
        uint8_t width;
        bool little;
    } widths[] = {{"u8", 1, false},   {"u16be", 2, false}, {"u16le", 2, true}, {"u24be", 3, false},
                  {"u24le", 3, true}, {"u32be", 4, false}, {"u32le", 4, true}};
    struct str s = {0};
    if (parse_word(p, "the length field: u8, u16be, u16le, u24be, u24le, u32be or u32le", &s) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        if (str_is(s, widths[i].word)) {
            u->width = widths[i].width;
            u->little = widths[i].little;
        }
    }
    if (u->width == 0)
        return parse_found(p, "the length field: u8, u16be, u16le, u24be, u24le, u32be or u32le");
    return parse_number(p, "where the length field stands, in bytes", 1024, &u->at) != 0
               ? -1
               : parse_number(p, "how many bytes the length does not count", 1024, &u->more);
}

static int read_bytes_unit(struct parse *p, struct unit *u)
{
    static const char expected[] = "a number of bytes, from 1 to 1024";
    if (parse_number(p, expected, 1024, &u->more) != 0)
        return -1;
    return u->more > 0 ? 0 : parse_found(p, expected);
}

int parse_unit(struct parse *p, struct unit *ret)
{
    static const struct {
        const char *word;
        enum unit_kind kind;
    } kinds[] = {{"line", UNIT_LINE},     {"tag", UNIT_TAG},        {"bytes", UNIT_BYTES},
                 {"frame", UNIT_FRAME},   {"ber", UNIT_BER},        {"telnet", UNIT_TELNET},
                 {"stream", UNIT_STREAM}, {"content", UNIT_CONTENT}};
    static const char expected[] = "a unit: line, tag, bytes N, frame, ber, telnet, stream or content";
    struct str s = {0};
    size_t i = 0;
    *ret = (struct unit){0};
    if (parse_word(p, expected, &s) != 0)
        return -1;
    while (i < ARRAY_LEN(kinds) && !str_is(s, kinds[i].word))
        i++;
    if (i == ARRAY_LEN(kinds))
        return parse_found(p, expected);
    ret->kind = kinds[i].kind;
    if (ret->kind == UNIT_BYTES)
        return read_bytes_unit(p, ret);
    return ret->kind == UNIT_FRAME ? read_frame(p, ret) : 0;
}
