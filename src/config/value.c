/* SPDX-License-Identifier: Apache-2.0 */
/* Texts, numbers and names. What has to do with networks is in value_net.c. */
#include "config/value.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/ech_setting.h"
#include "base/err.h"
#include "base/str.h"

#define NAME_MAX_LEN 64
#define TEXT_MAX_LEN 4095
#define CREDENTIAL "credential:"
#define TOKEN "pkcs11:" /* a key in a token, in the place of its file (RFC 7512) */
#define CREDENTIALS_VARIABLE "CREDENTIALS_DIRECTORY"

int value_refuse(const struct schema_value *v, struct err *err, const char *fmt, ...)
{
    char quoted[QUOTE_MAX], rest[ERR_TEXT_MAX - QUOTE_MAX - 16];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(rest, sizeof(rest), fmt, ap);
    va_end(ap);
    return err_set(err, "found %s, %s", report_quote(quoted, v->text), rest);
}

int value_put_text(const struct schema_value *v, const char *text, void *ret, struct err *err)
{
    if (text == NULL)
        return err_set(err, "out of memory");
    struct config_text t = {text, v->at};
    memcpy(ret, &t, sizeof(t));
    return 0;
}

/* Texts */

static int read_text(const struct schema_value *v, void *ret, struct err *err)
{
    size_t len = strlen(v->text);
    if (len == 0)
        return err_set(err, "found an empty text; leave the key out, or fill it");
    if (len > TEXT_MAX_LEN)
        return value_refuse(v, err, "which is longer than %d bytes", TEXT_MAX_LEN);
    for (size_t i = 0; i < len; i++)
        if (iscntrl((unsigned char)v->text[i]))
            return value_refuse(v, err, "which holds a control character");
    return value_put_text(v, v->text, ret, err);
}

static int read_name(const struct schema_value *v, void *ret, struct err *err)
{
    size_t len = strlen(v->text);
    bool ok = len > 0 && len <= NAME_MAX_LEN;
    for (size_t i = 0; ok && i < len; i++)
        ok = isascii((unsigned char)v->text[i]) &&
             (isalnum((unsigned char)v->text[i]) || strchr("._-", v->text[i]) != NULL);
    if (!ok)
        return value_refuse(v, err, "expected a name: 1 to %d of the characters a-z A-Z 0-9 . _ -",
                            NAME_MAX_LEN);
    return value_put_text(v, v->text, ret, err);
}

const char *value_join(const struct schema_value *v, const char *path)
{
    size_t dir = *path == '/' ? 0 : strlen(v->dir), len = strlen(path);
    char *joined = store_alloc(v->store, dir + len + 1, 1);
    if (joined == NULL)
        return NULL;
    memcpy(joined, v->dir, dir);
    memcpy(joined + dir, path, len);
    return joined;
}

/* $CREDENTIALS_DIRECTORY/NAME: where systemd puts what a unit's LoadCredential= and SetCredential= name
 * (systemd.exec(5)). NULL with `err`. */
static const char *find_credential(const struct schema_value *v, const char *name, struct err *err)
{
    const char *dir = getenv(CREDENTIALS_VARIABLE);
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX || strchr(name, '/') != NULL || strchr(name, ':') != NULL ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        value_refuse(v, err, "expected " CREDENTIAL "NAME with the name of a credential, without / and :");
        return NULL;
    }
    if (dir == NULL || *dir != '/') {
        value_refuse(
            v, err,
            "but there are no credentials here: " CREDENTIALS_VARIABLE " is %s. Start the door by a unit of "
            "systemd with LoadCredential=%.64s:FILE, or set the variable to a folder that holds %.64s",
            dir == NULL ? "not set" : "no absolute path", name, name);
        return NULL;
    }
    char *path = store_alloc(v->store, strlen(dir) + 1 + len + 1, 1);
    if (path == NULL)
        err_set(err, "out of memory");
    else
        sprintf(path, "%s/%s", dir, name);
    return path;
}

static int read_path(const struct schema_value *v, void *ret, struct err *err)
{
    if (read_text(v, ret, err) < 0)
        return -1;
    if (strncmp(v->text, TOKEN, strlen(TOKEN)) == 0)
        return value_put_text(v, v->text, ret, err);
    if (strncmp(v->text, CREDENTIAL, strlen(CREDENTIAL)) != 0)
        return value_put_text(v, value_join(v, v->text), ret, err);
    const char *path = find_credential(v, v->text + strlen(CREDENTIAL), err);
    return path == NULL ? -1 : value_put_text(v, path, ret, err);
}

static int read_output(const struct schema_value *v, void *ret, struct err *err)
{
    return strcmp(v->text, "-") == 0 ? read_text(v, ret, err) : read_path(v, ret, err);
}

static int read_bool(const struct schema_value *v, void *ret, struct err *err)
{
    bool yes = strcmp(v->text, "true") == 0;
    if (!yes && strcmp(v->text, "false") != 0)
        return value_refuse(v, err, "expected true or false");
    memcpy(ret, &yes, sizeof(yes));
    return 0;
}

static int read_enum(const struct schema_value *v, void *ret, struct err *err)
{
    char names[768] = "", hint[STR_HINT_MAX];
    const char *list[64] = {NULL};
    size_t n = 0, end = 0;
    for (const struct schema_name *e = v->key->names; e->name != NULL; e++) {
        if (strcmp(e->name, v->text) == 0) {
            memcpy(ret, &e->value, sizeof(e->value));
            return 0;
        }
        CHECK(n + 1 < ARRAY_LEN(list) && end < sizeof(names));
        list[n++] = e->name;
        end += (size_t)snprintf(names + end, sizeof(names) - end, "%s%s", n == 1 ? "" : ", ", e->name);
    }
    return value_refuse(v, err, "expected one of %s%s", names, str_hint(v->text, list, hint));
}

static int read_ech_setting(const struct schema_value *v, void *ret, struct err *err)
{
    struct ech_setting setting;
    struct config_text text;
    if (!ech_setting_read(v->text, &setting))
        return value_refuse(v, err, "expected " ECH_SETTING_WORDS);
    if (setting.wish != ECH_WISH_FILE)
        return read_text(v, ret, err);
    struct schema_value path = *v;
    path.text = setting.path;
    if (read_path(&path, &text, err) < 0)
        return -1;
    if (!setting.required)
        return value_put_text(v, text.text, ret, err);
    char *whole = store_alloc(v->store, strlen(ECH_SETTING_REQUIRE) + strlen(text.text) + 1, 1);
    if (whole != NULL)
        sprintf(whole, "%s%s", ECH_SETTING_REQUIRE, text.text);
    return value_put_text(v, whole, ret, err);
}

/* Numbers */

static const struct unit *units_of(const struct schema_type *type)
{
    return type == &value_duration ? unit_durations : type == &value_size ? unit_sizes : unit_plain;
}

const char *value_show(const struct schema_type *type, int64_t number, char text[UNIT_TEXT_MAX])
{
    return unit_format(number, units_of(type), text);
}

static int read_number(const struct schema_value *v, int64_t *ret, struct err *err)
{
    const struct schema_type *type = v->key->type;
    char low[UNIT_TEXT_MAX], high[UNIT_TEXT_MAX];
    const char *min = value_show(type, v->key->min, low), *max = value_show(type, v->key->max, high);
    const char *form = type == &value_duration ? "a duration such as 250ms, 10s, 5m, 1h or 7d"
                       : type == &value_size   ? "a size such as 64KiB, 1MiB or a number of bytes"
                                               : "a whole number";
    if (!unit_parse(v->text, units_of(type), ret))
        return value_refuse(v, err, "expected %s, from %s to %s", form, min, max);
    if (*ret < v->key->min || *ret > v->key->max)
        return value_refuse(v, err, "expected %s to %s", min, max);
    return 0;
}

static int read_count(const struct schema_value *v, void *ret, struct err *err)
{
    int64_t n;
    if (read_number(v, &n, err) < 0)
        return -1;
    CHECK(n >= 0);
    size_t value = (size_t)n;
    memcpy(ret, &value, sizeof(value));
    return 0;
}

static int read_duration(const struct schema_value *v, void *ret, struct err *err)
{
    int64_t n;
    if (read_number(v, &n, err) < 0)
        return -1;
    memcpy(ret, &n, sizeof(n));
    return 0;
}

const struct schema_type value_text = {"text", sizeof(struct config_text), read_text};
const struct schema_type value_name = {"name", sizeof(struct config_text), read_name};
const struct schema_type value_path = {"path", sizeof(struct config_text), read_path};
const struct schema_type value_ech_setting = {"ECH", sizeof(struct config_text), read_ech_setting};
const struct schema_type value_output = {"path or -", sizeof(struct config_text), read_output};
const struct schema_type value_bool = {"true or false", sizeof(bool), read_bool};
const struct schema_type value_integer = {"number", sizeof(size_t), read_count};
const struct schema_type value_size = {"size", sizeof(size_t), read_count};
const struct schema_type value_duration = {"duration", sizeof(int64_t), read_duration};
const struct schema_type value_enum = {"word", sizeof(int), read_enum};
