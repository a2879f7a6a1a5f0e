/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of RFC 9807 for ristretto255 with SHA-512: C.1.1, C.1.2 (the same but for who they are) and
 * C.2.1, in hexadecimal. */
#ifndef CARDEA_TESTS_OPAQUE_VECTORS_H
#define CARDEA_TESTS_OPAQUE_VECTORS_H

struct opaque_vector {
    const char *client, *server; /* identities */
    const char *oprf_seed;
    const char *envelope_nonce;
    const char *masking_nonce;
    const char *server_private_key;
    const char *server_public_key;
    const char *server_nonce;
    const char *client_nonce;
    const char *client_keyshare_seed;
    const char *server_keyshare_seed;
    const char *blind_registration;
    const char *blind_login;
    const char *registration_request;
    const char *registration_response;
    const char *registration_upload;
    const char *ke1;
    const char *ke2;
    const char *ke3;
    const char *export_key;
    const char *session_key;
};

static const struct opaque_vector opaque_vectors[] = {
    {
        .client = "",
        .server = "",
        .oprf_seed =
            "f433d0227b0b9dd54f7c4422b600e764e47fb503f1f9a0f0a47c6606b054a7fdc65347f1a08f277e22358bba"
            "be26f823fca82c7848e9a75661f4ec5d5c1989ef",
        .envelope_nonce = "ac13171b2f17bc2c74997f0fce1e1f35bec6b91fe2e12dbd323d23ba7a38dfec",
        .masking_nonce = "38fe59af0df2c79f57b8780278f5ae47355fe1f817119041951c80f612fdfc6d",
        .server_private_key = "47451a85372f8b3537e249d7b54188091fb18edde78094b43e2ba42b5eb89f0d",
        .server_public_key = "b2fe7af9f48cc502d016729d2fe25cdd433f2c4bc904660b2a382c9b79df1a78",
        .server_nonce = "71cd9960ecef2fe0d0f7494986fa3d8b2bb01963537e60efb13981e138e3d4a1",
        .client_nonce = "da7e07376d6d6f034cfa9bb537d11b8c6b4238c334333d1f0aebb380cae6a6cc",
        .client_keyshare_seed = "82850a697b42a505f5b68fcdafce8c31f0af2b581f063cf1091933541936304b",
        .server_keyshare_seed = "05a4f54206eef1ba2f615bc0aa285cb22f26d1153b5b40a1e85ff80da12f982f",
        .blind_registration = "76cfbfe758db884bebb33582331ba9f159720ca8784a2a070a265d9c2d6abe01",
        .blind_login = "6ecc102d2e7a7cf49617aad7bbe188556792d4acd60a1a8a8d2b65d4b0790308",
        .registration_request = "5059ff249eb1551b7ce4991f3336205bde44a105a032e747d21bf382e75f7a71",
        .registration_response =
            "7408a268083e03abc7097fc05b587834539065e86fb0c7b6342fcf5e01e5b019b2fe7af9f48cc502d016729d"
            "2fe25cdd433f2c4bc904660b2a382c9b79df1a78",
        .registration_upload =
            "76a845464c68a5d2f7e442436bb1424953b17d3e2e289ccbaccafb57ac5c36751ac5844383c7708077dea41c"
            "befe2fa15724f449e535dd7dd562e66f5ecfb95864eadddec9db5874959905117dad40a4524111849799281f"
            "efe3c51fa82785c5ac13171b2f17bc2c74997f0fce1e1f35bec6b91fe2e12dbd323d23ba7a38dfec634b0f5b"
            "96109c198a8027da51854c35bee90d1e1c781806d07d49b76de6a28b8d9e9b6c93b9f8b64d16dddd9c5bfb5f"
            "ea48ee8fd2f75012a8b308605cdd8ba5",
        .ke1 = "c4dedb0ba6ed5d965d6f250fbe554cd45cba5dfcce3ce836e4aee778aa3cd44dda7e07376d6d6f034cfa9bb5"
               "37d11b8c6b4238c334333d1f0aebb380cae6a6cc6e29bee50701498605b2c085d7b241ca15ba5c32027dd21b"
               "a420b94ce60da326",
        .ke2 = "7e308140890bcde30cbcea28b01ea1ecfbd077cff62c4def8efa075aabcbb47138fe59af0df2c79f57b87802"
               "78f5ae47355fe1f817119041951c80f612fdfc6dd6ec60bcdb26dc455ddf3e718f1020490c192d70dfc7e403"
               "981179d8073d1146a4f9aa1ced4e4cd984c657eb3b54ced3848326f70331953d91b02535af44d9fedc80188c"
               "a46743c52786e0382f95ad85c08f6afcd1ccfbff95e2bdeb015b166c6b20b92f832cc6df01e0b86a7efd92c1"
               "c804ff865781fa93f2f20b446c8371b671cd9960ecef2fe0d0f7494986fa3d8b2bb01963537e60efb13981e1"
               "38e3d4a1c4f62198a9d6fa9170c42c3c71f1971b29eb1d5d0bd733e40816c91f7912cc4a660c48dae03e57aa"
               "a38f3d0cffcfc21852ebc8b405d15bd6744945ba1a93438a162b6111699d98a16bb55b7bdddfe0fc5608b23d"
               "a246e7bd73b47369169c5c90",
        .ke3 = "4455df4f810ac31a6748835888564b536e6da5d9944dfea9e34defb9575fe5e2661ef61d2ae3929bcf57e53d"
               "464113d364365eb7d1a57b629707ca48da18e442",
        .export_key =
            "1ef15b4fa99e8a852412450ab78713aad30d21fa6966c9b8c9fb3262a970dc62950d4dd4ed62598229b1b727"
            "94fc0335199d9f7fcc6eaedde92cc04870e63f16",
        .session_key =
            "42afde6f5aca0cfa5c163763fbad55e73a41db6b41bc87b8e7b62214a8eedc6731fa3cb857d657ab9b3764b8"
            "9a84e91ebcb4785166fbb02cedfcbdfda215b96f",
    },
    {
        .client = "alice",
        .server = "bob",
        .oprf_seed =
            "f433d0227b0b9dd54f7c4422b600e764e47fb503f1f9a0f0a47c6606b054a7fdc65347f1a08f277e22358bba"
            "be26f823fca82c7848e9a75661f4ec5d5c1989ef",
        .envelope_nonce = "ac13171b2f17bc2c74997f0fce1e1f35bec6b91fe2e12dbd323d23ba7a38dfec",
        .masking_nonce = "38fe59af0df2c79f57b8780278f5ae47355fe1f817119041951c80f612fdfc6d",
        .server_private_key = "47451a85372f8b3537e249d7b54188091fb18edde78094b43e2ba42b5eb89f0d",
        .server_public_key = "b2fe7af9f48cc502d016729d2fe25cdd433f2c4bc904660b2a382c9b79df1a78",
        .server_nonce = "71cd9960ecef2fe0d0f7494986fa3d8b2bb01963537e60efb13981e138e3d4a1",
        .client_nonce = "da7e07376d6d6f034cfa9bb537d11b8c6b4238c334333d1f0aebb380cae6a6cc",
        .client_keyshare_seed = "82850a697b42a505f5b68fcdafce8c31f0af2b581f063cf1091933541936304b",
        .server_keyshare_seed = "05a4f54206eef1ba2f615bc0aa285cb22f26d1153b5b40a1e85ff80da12f982f",
        .blind_registration = "76cfbfe758db884bebb33582331ba9f159720ca8784a2a070a265d9c2d6abe01",
        .blind_login = "6ecc102d2e7a7cf49617aad7bbe188556792d4acd60a1a8a8d2b65d4b0790308",
        .registration_request = "5059ff249eb1551b7ce4991f3336205bde44a105a032e747d21bf382e75f7a71",
        .registration_response =
            "7408a268083e03abc7097fc05b587834539065e86fb0c7b6342fcf5e01e5b019b2fe7af9f48cc502d016729d"
            "2fe25cdd433f2c4bc904660b2a382c9b79df1a78",
        .registration_upload =
            "76a845464c68a5d2f7e442436bb1424953b17d3e2e289ccbaccafb57ac5c36751ac5844383c7708077dea41c"
            "befe2fa15724f449e535dd7dd562e66f5ecfb95864eadddec9db5874959905117dad40a4524111849799281f"
            "efe3c51fa82785c5ac13171b2f17bc2c74997f0fce1e1f35bec6b91fe2e12dbd323d23ba7a38dfec1ac902dc"
            "5589e9a5f0de56ad685ea8486210ef41449cd4d8712828913c5d2b680b2b3af4a26c765cff329bfb66d38ecf"
            "1d6cfa9e7a73c222c6efe0d9520f7d7c",
        .ke1 = "c4dedb0ba6ed5d965d6f250fbe554cd45cba5dfcce3ce836e4aee778aa3cd44dda7e07376d6d6f034cfa9bb5"
               "37d11b8c6b4238c334333d1f0aebb380cae6a6cc6e29bee50701498605b2c085d7b241ca15ba5c32027dd21b"
               "a420b94ce60da326",
        .ke2 = "7e308140890bcde30cbcea28b01ea1ecfbd077cff62c4def8efa075aabcbb47138fe59af0df2c79f57b87802"
               "78f5ae47355fe1f817119041951c80f612fdfc6dd6ec60bcdb26dc455ddf3e718f1020490c192d70dfc7e403"
               "981179d8073d1146a4f9aa1ced4e4cd984c657eb3b54ced3848326f70331953d91b02535af44d9fea502150b"
               "67fe36795dd8914f164e49f81c7688a38928372134b7dccd50e09f8fed9518b7b2f94835b3c4fe4c8475e751"
               "3f20eb97ff0568a39caee3fd6251876f71cd9960ecef2fe0d0f7494986fa3d8b2bb01963537e60efb13981e1"
               "38e3d4a1c4f62198a9d6fa9170c42c3c71f1971b29eb1d5d0bd733e40816c91f7912cc4a292371e7809a9031"
               "743e943fb3b56f51de903552fc91fba4e7419029951c3970b2e2f0a9dea218d22e9e4e0000855bb6421aa361"
               "0d6fc0f4033a6517030d4341",
        .ke3 = "7a026de1d6126905736c3f6d92463a08d209833eb793e46d0f7f15b3e0f62c7643763c02bbc6b8d3d15b6325"
               "0cae98171e9260f1ffa789750f534ac11a0176d5",
        .export_key =
            "1ef15b4fa99e8a852412450ab78713aad30d21fa6966c9b8c9fb3262a970dc62950d4dd4ed62598229b1b727"
            "94fc0335199d9f7fcc6eaedde92cc04870e63f16",
        .session_key =
            "ae7951123ab5befc27e62e63f52cf472d6236cb386c968cc47b7e34f866aa4bc7638356a73cfce92becf39d6"
            "a7d32a1861f12130e824241fe6cab34fbd471a57",
    },
};

/* For a user whom the server does not know. */
static const struct {
    const char *oprf_seed;
    const char *masking_nonce;
    const char *client_public_key;
    const char *server_private_key;
    const char *server_public_key;
    const char *server_nonce;
    const char *server_keyshare_seed;
    const char *masking_key;
    const char *ke1;
    const char *ke2;
} opaque_fake_vector = {
    .oprf_seed = "743fc168d1f826ad43738933e5adb23da6fb95f95a1b069f0daa0522d0a78b617f701fc6aa46d3e7981e70de"
                 "7765dfcd6b1e13e3369a582eb8dc456b10aa53b0",
    .masking_nonce = "9c035896a043e70f897d87180c543e7a063b83c1bb728fbd189c619e27b6e5a6",
    .client_public_key = "84f43f9492e19c22d8bdaa4447cc3d4db1cdb5427a9f852c4707921212c36251",
    .server_private_key = "c788585ae8b5ba2942b693b849be0c0426384e41977c18d2e81fbe30fd7c9f06",
    .server_public_key = "825f832667480f08b0c9069da5083ac4d0e9ee31b49c4e0310031fea04d52966",
    .server_nonce = "1e10f6eeab2a7a420bf09da9b27a4639645622c46358de9cf7ae813055ae2d12",
    .server_keyshare_seed = "360b0937f47d45f6123a4d8f0d0c0814b6120d840ebb8bc5b4f6b62df07f78c2",
    .masking_key = "39ebd51f0e39a07a1c2d2431995b0399bca9996c5d10014d6ebab4453dc10ce5cef38ed3df6e56bfff40c2d8"
                   "dd4671c2b4cf63c3d54860f31fe40220d690bb71",
    .ke1 = "b0a26dcaca2230b8f5e4b1bcab9c84b586140221bb8b2848486874b0be44890542d4e61ed3f8d64cdd3b9d15"
           "3343eca15b9b0d5e388232793c6376bd2d9cfd0ab641d7f20a245a09f1d4dbb6e301661af7f352beb0791d05"
           "5e48d3645232f77f",
    .ke2 = "928f79ad8df21963e91411b9f55165ba833dea918f441db967cdc09521d229259c035896a043e70f897d8718"
           "0c543e7a063b83c1bb728fbd189c619e27b6e5a632b5ab1bff96636144faa4f9f9afaac75dd88ea99cf51759"
           "02ae3f3b2195693f165f11929ba510a5978e64dcdabecbd7ee1e4380ce270e58fea58e6462d92964a1aaef72"
           "698bca1c673baeb04cc2bf7de5f3c2f5553464552d3a0f7698a9ca7f9c5e70c6cb1f706b2f175ab9d04bbd13"
           "926e816b6811a50b4aafa9799d5ed7971e10f6eeab2a7a420bf09da9b27a4639645622c46358de9cf7ae8130"
           "55ae2d1298251c5ba55f6b0b2d58d9ff0c88fe4176484be62a96db6e2a8c4d431bd1bf27fe6c1d0537603835"
           "217d42ebf7b2581982732e74892fd28211b31ed33863f0beaf75ba6f59474c0aaf9d78a60a9b2f4cd24d7ab5"
           "4131b3c8efa192df6b72db4c",
};

#endif
