/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: no crash, no leak, and an error text whenever it is refused. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf errors = {0};
    struct config *c = config_parse("dir/fuzz.yaml", data, len, &errors);
    CHECK((c == NULL) == (errors.len > 0));
    config_free(c);
    errors.len = 0;
    struct client_config *client = client_config_parse("fuzz.yaml", data, len, &errors);
    CHECK((client == NULL) == (errors.len > 0));
    client_config_free(client);
    errors.len = 0;
    struct expose_config *expose = expose_config_parse("fuzz.yaml", data, len, &errors);
    CHECK((expose == NULL) == (errors.len > 0));
    expose_config_free(expose);
    buf_free(&errors);
    return 0;
}
