/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/digest.h"

#include <openssl/md5.h>
#include <openssl/sha.h>

void tls_sha256(const void *data, size_t len, uint8_t ret_digest[32])
{
    SHA256(data, len, ret_digest);
}

void tls_md5(const void *data, size_t len, uint8_t ret_digest[16])
{
    MD5(data, len, ret_digest);
}
