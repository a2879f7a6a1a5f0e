/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/secret_file.h"

#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "cert/pem.h"

#define SECRET_MAX 4096

/* Into base64url without padding, in place. */
static struct str normalise(struct buf *text)
{
    size_t len = text->len;
    while (len > 0 && strchr(" \t\r\n=", text->data[len - 1]) != NULL)
        len--;
    for (size_t i = 0; i < len; i++)
        text->data[i] = text->data[i] == '+' ? '-' : text->data[i] == '/' ? '_' : text->data[i];
    return (struct str){(char *)text->data, len};
}

int secret_file_read(const char *path, struct buf *ret, struct err *err)
{
    struct buf file = {.max = 0};
    mode_t mode;
    int rc = 0;
    if (file_read(path, SECRET_MAX, &file, &mode, err) < 0)
        return -1;
    struct str text = normalise(&file);
    if (!pem_key_is_kept(mode))
        rc = err_set(err, "%s: others can read it; expected a file for its owner alone (chmod 600)", path);
    else if (text.len == 0 || !buf_reserve(ret, text.len) || !base64url_read(text, ret))
        rc = err_set(err, "%s: expected a secret in base64 or base64url, and nothing else", path);
    buf_wipe(&file);
    return rc;
}
