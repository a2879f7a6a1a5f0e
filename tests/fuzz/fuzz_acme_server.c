/* SPDX-License-Identifier: Apache-2.0 */
/* acme/acme_server.h with a good account behind each request: the first byte says which resource, the rest is
 * the payload, which is signed here; or, behind a '!', the body as it stands. Whatever comes is answered,
 * never with "something is wrong here". */
#include "../unit/acme_played.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct played world;
static struct player player;
static char order_url[512], finalize_url[512], authorization_url[512], challenge_url[512];

static void end(void)
{
    player_free(&player);
    played_end(&world);
}

static void begin(void)
{
    static bool begun;
    if (begun && strstr(world.text, "deactivated") == NULL)
        return;
    if (begun)
        end();
    else
        CHECK(atexit(end) == 0);
    begun = true;
    world = (struct played){0};
    world.params.limits = (struct acme_limits){.accounts_per_source = UINT32_MAX,
                                               .orders = UINT32_MAX,
                                               .orders_per_account = UINT32_MAX,
                                               .failures = UINT32_MAX};
    played_begin(&world);
    player_enrol(&player, &world, "{}");
    CHECK(player_order(&player, "a.example.com", "") == 201);
    str_copy(finalize_url, sizeof(finalize_url), played_text(&world, "finalize"),
             strlen(played_text(&world, "finalize")));
    played_field(&world, "Location", order_url);
    player_prove(&player, true);
    CHECK(player_order(&player, "b.example.com", "") == 201);
    const char *url = json_string_value(json_array_get(json_object_get(world.body, "authorizations"), 0));
    str_copy(authorization_url, sizeof(authorization_url), url, strlen(url));
    CHECK(played_post(&player, authorization_url, "") == 200);
    url = json_string_value(
        json_object_get(json_array_get(json_object_get(world.body, "challenges"), 0), "url"));
    str_copy(challenge_url, sizeof(challenge_url), url, strlen(url));
}

static const char *url_of(uint8_t which)
{
    static const char *const urls[] = {
        PLAYED_URL "/new-account",
        PLAYED_URL "/new-order",
        PLAYED_URL "/revoke-cert",
        PLAYED_URL "/key-change",
        player.kid,
        finalize_url,
        authorization_url,
        challenge_url,
        order_url,
    };
    return urls[which % ARRAY_LEN(urls)];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {0};
    struct buf out = {0};
    begin();
    if (len < 2)
        return 0;
    const char *url = url_of(data[0]);
    struct str rest = {(const char *)data + 1, len - 1};
    played_get(&world, PLAYED_URL "/new-nonce");
    if (rest.p[0] == '!') {
        rest = (struct str){rest.p + 1, rest.len - 1};
    } else {
        struct jws_header header = {
            .kid = data[0] % 9 == 0 ? NULL : player.kid, .nonce = world.nonce, .url = url};
        CHECK(jws_sign(player.key, &header, rest, &out, NULL) == 0);
        rest = (struct str){(const char *)out.data, out.len};
    }
    CHECK(played_send(&world, "POST", url, "application/jose+json", rest, &err) == 0);
    CHECK(world.status >= 200 && world.status < 500);
    buf_free(&out);
    return 0;
}
