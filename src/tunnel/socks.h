/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of SOCKS5 (RFC 1928) that a client sends, and the answers to them. Pure. Without
 * authentication. */
#ifndef CARDEA_TUNNEL_SOCKS_H
#define CARDEA_TUNNEL_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/addr.h"
#include "session/front.h"

#define SOCKS_MESSAGE_MAX 262 /* the longest request: of a name of 255 bytes */
#define SOCKS_REPLY_MAX 22    /* ... and the longest answer, with an IPv6 address */
#define SOCKS_HEAD_MAX 262    /* what stands before the data of a datagram */

enum socks_result { SOCKS_MORE, SOCKS_OK, SOCKS_BAD };

enum socks_command { SOCKS_CONNECT = 1, SOCKS_BIND = 2, SOCKS_ASSOCIATE = 3 };

/* RFC 1928, 6; what a door's answer is called is a column of tables/outcomes.def. */
enum socks_reply {
    SOCKS_SUCCEEDED = 0,
    SOCKS_FAILURE = 1,
    SOCKS_NO_COMMAND = 7,
    SOCKS_NO_ADDRESS_TYPE = 8,
};

/* How long the message at the start of the bytes is. With SOCKS_MORE: at least, and more than there is, but
 * never more than it will have; so who reads up to it takes no byte of what follows. */
typedef size_t socks_size;

/* Read the client's greeting (RFC 1928, 3). SOCKS_BAD with `err`: it is not SOCKS5, or wants to authenticate;
 * *ret_answer says whether socks_put_method() is due. */
enum socks_result socks_parse_greeting(const uint8_t *data, size_t len, socks_size *ret_size,
                                       bool *ret_answer, struct err *err);

/* The answer to a greeting (2 bytes): go on without authentication, or: none of these methods will do. */
void socks_put_method(bool good, uint8_t ret[2]);

struct socks_request {
    enum socks_command command; /* SOCKS_CONNECT or SOCKS_ASSOCIATE */
    struct front_target target; /* of SOCKS_CONNECT; canonical */
    uint16_t port;              /* of SOCKS_ASSOCIATE: where the client will send from; 0: it does not say */
    socks_size size;
    uint8_t reply; /* SOCKS_BAD: what to answer */
};

/* Read a request (RFC 1928, 4). SOCKS_BAD with `err` and `reply`. */
enum socks_result socks_parse_request(const uint8_t *data, size_t len, struct socks_request *ret,
                                      struct err *err);

/* Write the answer to a request; `bound` may be NULL, which is 0.0.0.0:0. Returns its length. */
size_t socks_put_reply(uint8_t reply, const struct net_addr *bound, uint8_t ret[SOCKS_REPLY_MAX]);

struct socks_datagram {
    struct front_target target;
    const uint8_t *address; /* as it was sent, from ATYP to the port; for socks_put_head() */
    size_t address_len;
    const uint8_t *data;
    size_t len;
};

/* Read a datagram of the client (RFC 1928, 7). False: to be dropped, as one that is a fragment or goes
 * nowhere is. The pointers are into the bytes. */
bool socks_parse_datagram(const uint8_t *data, size_t len, struct socks_datagram *ret);

/* Write what stands before the data of a datagram that came back from `address`. Returns its length. */
size_t socks_put_head(const uint8_t *address, size_t address_len, uint8_t ret[SOCKS_HEAD_MAX]);

#endif
