/* SPDX-License-Identifier: Apache-2.0 */
/* The words by which a user says what a client offers of Encrypted ClientHello: in flags, in the environment
 * and in files of settings. */
#ifndef CARDEA_BASE_ECH_SETTING_H
#define CARDEA_BASE_ECH_SETTING_H

#include <stdbool.h>

#include "base/buf.h"

enum ech_wish {
    ECH_WISH_GREASE, /* something that looks like it, so that those who mean it do not stand out */
    ECH_WISH_OFF,    /* nothing */
    ECH_WISH_FILE,   /* by the configs of a file */
    ECH_WISH_AUTO,   /* by those that the DNS tells */
};

#define ECH_SETTING_REQUIRE "require:"
#define ECH_SETTING_WORDS "grease, off, auto, require, a file of ECHConfigs, or require:FILE"

struct ech_setting {
    enum ech_wish wish;
    bool required;    /* no connection without it */
    const char *path; /* ECH_WISH_FILE: within the text that was read */
};

/* "grease", "off", "auto", "require" (which is auto), PATH or "require:PATH"; NULL is as "grease". A file of
 * such a name is written ./off. False where it is none of these. */
bool ech_setting_read(const char *text, struct ech_setting *ret);

/* Append the same setting as it holds wherever one is, its path absolute. -1 with errno where it is not known
 * where we are; nothing is appended then. */
int ech_setting_put_absolute(struct buf *out, const struct ech_setting *setting);

#endif
