/* SPDX-License-Identifier: Apache-2.0 */
/* ca/ssh.h: any text as a public key of SSH. What is taken is the whole of what was sent: written as a line
 * again, it reads the same. */
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "ca/ssh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void put_blob(const struct ssh_public *key, struct buf *ret)
{
    uint8_t head[4];
    struct writer w = writer_of(head, sizeof(head));
    writer_uint(&w, sizeof(head), strlen(key->type));
    CHECK(buf_append(ret, head, sizeof(head)) && buf_append(ret, key->type, strlen(key->type)) &&
          buf_append(ret, key->fields.data, key->fields.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ssh_public key, again;
    struct err err = {""};
    struct buf blob = {0}, line = {0};
    if (ssh_public_read((struct str){(const char *)data, len}, &key, &err) < 0) {
        CHECK(err.text[0] != '\0' && key.fields.data == NULL && key.comment.data == NULL);
        return 0;
    }
    for (size_t i = 0; i < key.comment.len; i++)
        CHECK(key.comment.data[i] >= ' ' && key.comment.data[i] <= '~');
    put_blob(&key, &blob);
    CHECK(ssh_put_line(&line, &blob, "x"));
    CHECK(ssh_public_read((struct str){(const char *)line.data, line.len}, &again, &err) == 0);
    CHECK(again.type == key.type && again.fields.len == key.fields.len &&
          memcmp(again.fields.data, key.fields.data, key.fields.len) == 0);
    ssh_public_free(&again);
    ssh_public_free(&key);
    buf_free(&blob);
    buf_free(&line);
    return 0;
}
