/* SPDX-License-Identifier: Apache-2.0 */
/* acme/validate.h: wherever a redirect leads, it is a host and a path that are safe to ask for; what is not
 * followed changes nothing. */
#include <string.h>

#include "acme/validate_internal.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct acme_validator_params params = {.http_port = 80, .tls_port = 443};
    struct look_place place = {.host = "www.example.com", .path = "/x"}, before = place;
    uint8_t ip[16];
    if (!look_redirect(&params, (struct str){(const char *)data, len}, &place)) {
        CHECK(memcmp(&place, &before, sizeof(place)) == 0);
        return 0;
    }
    size_t host = strlen(place.host), path = strlen(place.path);
    CHECK(hostname_address(place.host, ip) > 0 || hostname_check(place.host, host) == HOSTNAME_OK);
    CHECK(place.path[0] == '/' && place.path[1] != '/' && path < LOOK_PATH_MAX);
    for (size_t i = 0; i < path; i++)
        CHECK(place.path[i] > ' ' && place.path[i] <= '~' && place.path[i] != '#');
    return 0;
}
