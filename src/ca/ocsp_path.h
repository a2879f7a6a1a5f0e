/* SPDX-License-Identifier: Apache-2.0 */
/* An OCSP request within the path of a GET (RFC 6960, appendix A.1). */
#ifndef CARDEA_CA_OCSP_PATH_H
#define CARDEA_CA_OCSP_PATH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Append the bytes (DER) that `text` stands for: base64, of which any character may be percent-encoded (RFC
 * 3986, 2.1), as clients do for '+', '/' and '='; padding may be left out. False, and nothing appended, where
 * it is anything else, or memory is out. */
bool ocsp_path_read(struct str text, struct buf *ret);

#endif
