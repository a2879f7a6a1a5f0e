/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify_certificates.h"

static int verify_files(struct report *r, const struct config_certificate *c, size_t i)
{
    if (c->certificate.text != NULL && c->key.text != NULL)
        return 0;
    return report_add(r, c->head.at, "certificates[%zu]: has '%s' but no '%s'; they go together", i,
                      c->key.text == NULL ? "certificate" : "key",
                      c->key.text == NULL ? "key" : "certificate");
}

static int verify_directory(struct report *r, const struct config_certificate *c, size_t i)
{
    const char *other = c->certificate.text != NULL ? "certificate"
                        : c->key.text != NULL       ? "key"
                        : c->names.n > 0            ? "names"
                                                    : NULL;
    if (other == NULL)
        return 0;
    return report_add(r, c->directory.at, "certificates[%zu].directory: stands alone, found '%s' beside it%s",
                      i, other, c->names.n > 0 ? ": the names are those of its files" : "");
}

static int verify_entry(struct report *r, const struct config_certificate *c, size_t i)
{
    if (c->directory.text != NULL)
        return verify_directory(r, c, i);
    if (c->certificate.text != NULL || c->key.text != NULL)
        return verify_files(r, c, i);
    return report_add(r, c->head.at, "certificates[%zu]: expected 'certificate' and 'key', or 'directory'",
                      i);
}

int verify_certificates(struct report *r, const struct config *c)
{
    int bad = 0;
    for (size_t i = 0; i < c->certificates.n; i++)
        bad |= verify_entry(r, &c->certificates.v[i], i);
    return bad;
}
