/* SPDX-License-Identifier: Apache-2.0 */
/* The types of scalars that keys have. The field of each is named behind it. */
#ifndef CARDEA_CONFIG_VALUE_H
#define CARDEA_CONFIG_VALUE_H

#include "base/unit.h"
#include "config/schema.h"

extern const struct schema_type value_text;   /* config_text */
extern const struct schema_type value_name;   /* config_text: [A-Za-z0-9._-], at most 64 */
extern const struct schema_type value_path;   /* config_text, joined to the file's directory; or of a
                                                 credential */
extern const struct schema_type value_output; /* the same, but "-" stays */
extern const struct schema_type
    value_ech_setting; /* config_text: base/ech_setting.h, a path in it joined likewise */
extern const struct schema_type value_bool;     /* bool */
extern const struct schema_type value_integer;  /* size_t, in the row's range */
extern const struct schema_type value_size;     /* size_t, bytes, in the row's range */
extern const struct schema_type value_duration; /* int64_t, nanoseconds, in the row's range */
extern const struct schema_type value_enum;     /* int or an enum: one of the row's names */

extern const struct schema_type value_sni; /* config_text: a server name pattern or `none`, lower case */
extern const struct schema_type
    value_host_pattern; /* config_text: a DNS name, perhaps with `*.` before it, lower case */
extern const struct schema_type value_host; /* config_text: a DNS name or an address, for a certificate */
extern const struct schema_type
    value_certified; /* config_text: the same, or `*.` and a name; lower case: what a certificate is for */
extern const struct schema_type value_url;          /* config_text: http:// or https:// */
extern const struct schema_type value_acme_ca;      /* config_text: a URL, or a name of acme_cas */
extern const struct schema_type value_acme_backup;  /* struct config_acme_backup */
extern const struct schema_type value_key_kind;     /* enum key_kind */
extern const struct schema_type value_ask;          /* struct config_ask */
extern const struct schema_type value_command_line; /* char **: see value_command() */
extern const struct schema_type value_alpn;         /* config_text: a protocol name (RFC 7301) */
extern const struct schema_type value_alpn_pattern; /* config_text: the same, or a prefix and `*` */
extern const struct schema_type value_listen; /* config_address: an IP address, `*` or nothing, and a port */
extern const struct schema_type value_listener; /* config_address: the same, unix:PATH, systemd:NAME or '-' */
extern const struct schema_type value_service;  /* config_address: HOST:PORT or unix:PATH */
extern const struct schema_type value_backend;  /* config_address: the same, or exec:PROGRAM ARGS */
extern const struct schema_type value_mode;     /* unsigned: permission bits in octal */
extern const struct schema_type value_door;     /* config_address: HOST:PORT */
extern const struct schema_type value_network;  /* config_network: ADDRESS, ADDRESS/BITS or unix */
extern const struct schema_type
    value_uri; /* config_text: a URI of a certificate, perhaps with a last '/' and `*` */
extern const struct schema_type
    value_pin; /* 32 bytes: of a public key (RFC 7469), perhaps after `sha256//` */

/* A number of that type as one would write it: "64KiB", "12h". */
const char *value_show(const struct schema_type *type, int64_t number, char text[UNIT_TEXT_MAX]);

/* "found 'TEXT', " and the rest. Returns -1. */
int value_refuse(const struct schema_value *v, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Set a config_text; -1 when memory is out. */
int value_put_text(const struct schema_value *v, const char *text, void *ret, struct err *err);

/* `path` as seen from the working directory: joined to v->dir where it is relative. NULL when memory is out.
 */
const char *value_join(const struct schema_value *v, const char *path);

/* The words of a command line, with NULL after the last: apart by blanks; "..." and '...' hold blanks, and a
 * backslash outside '...' takes the next character as it is. No shell sees them. The first is the path of a
 * program, joined to v->dir where it is relative. NULL with `err`, where `expected` is what the key takes. */
char **value_command(const struct schema_value *v, const char *text, const char *expected, struct err *err);

#endif
