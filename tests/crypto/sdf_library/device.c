/*
 * A crypto device of our own for the tests: GM/T 0018 over OpenSSL's libcrypto, written from the standard's text.
 *
 * It is strict where a lax driver would get away with a kinder library, and writes every breach of the rules into
 * "<library>.breaches". Beside the library lie:
 *
 *   <library>.conf    "libcrypto PATH", "sign N HEX", "enc N HEX" (private keys), "kek N HEX", "pin N TEXT",
 *                     "sessions N", "handles N" (limits), "ecb_iv any|null|given"
 *   <library>.fault   "CODE [AFTER]" in hexadecimal and decimal: while it is there, every call after the first AFTER
 *                     ones returns CODE and the device forgets its sessions, as one that lost its power does
 *
 * No header of OpenSSL is needed: a machine that runs the tests need not have them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

typedef unsigned char U8;
typedef unsigned int U32;

#define WIDE 64
#define NUM 32
#define SGD_SM4_ECB 0x00000401u
#define SGD_SM2_1 0x00020200u
#define SGD_SM2_3 0x00020800u

enum {
    OK = 0, UNKNOWN = 0x01000001, NOTSUPPORT, COMMFAIL, HARDFAIL, OPENDEVICE, OPENSESSION, PARDENY, KEYNOTEXIST,
    ALGNOTSUPPORT, ALGMODNOTSUPPORT, PKOPERR, SKOPERR, SIGNERR, VERIFYERR, SYMOPERR, STEPERR, KEYTYPEERR = 0x01000014,
    KEYERR, ENCDATAERR, RANDERR, PRKRERR, NOBUFFER = 0x0100001C, INARGERR, OUTARGERR
};

typedef struct { U8 IssuerName[40], DeviceName[16], DeviceSerial[16]; U32 DeviceVersion, StandardVersion,
    AsymAlgAbility[2], SymAlgAbility, HashAlgAbility, BufferSize; } DEVICEINFO;
typedef struct { U32 bits; U8 x[WIDE], y[WIDE]; } ECCrefPublicKey;
typedef struct { U8 x[WIDE], y[WIDE], M[NUM]; U32 L; U8 C[1]; } ECCCipher;
typedef struct { U8 r[WIDE], s[WIDE]; } ECCSignature;

#define INDEXES 8
#define SESSIONS 64
#define HANDLES 128

typedef struct { int used; U8 sign[NUM], enc[NUM], kek[16]; int has_sign, has_enc, has_kek; char pin[64]; } Slot;
typedef struct { int used; U8 value[16]; } Key;
typedef struct { int used; int right[INDEXES]; Key keys[HANDLES]; } Session;

static Slot slots[INDEXES];
static Session sessions[SESSIONS];
static int session_limit = SESSIONS, handle_limit = HANDLES, ecb_iv, opened, calls, inside;
static pid_t owner;
static char place[4096], crypto_path[4096];
static void *crypto;

/* ---- the outside ------------------------------------------------------------------------------------------------ */

static void path_of(char *out, size_t size, const char *ending) {
    if (!place[0]) {
        Dl_info info;
        dladdr((void *)path_of, &info);
        snprintf(place, sizeof place, "%s", info.dli_fname);
    }
    snprintf(out, size, "%s%s", place, ending);
}

static void breach(const char *text, const char *function) {
    char path[4200];
    path_of(path, sizeof path, ".breaches");
    FILE *file = fopen(path, "a");
    if (file) { fprintf(file, "%s: %s\n", function, text); fclose(file); }
}

static void from_hex(U8 *out, size_t size, const char *hex) {
    for (size_t i = 0; i < size; i++) { unsigned byte = 0; sscanf(hex + 2 * i, "%2x", &byte); out[i] = (U8)byte; }
}

static void configure(void) {
    char path[4200], line[5000], word[32], text[4096];
    int n;
    memset(slots, 0, sizeof slots);
    path_of(path, sizeof path, ".conf");
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "libcrypto %4095s", crypto_path) == 1) continue;
        if (sscanf(line, "sessions %d", &session_limit) == 1) continue;
        if (sscanf(line, "handles %d", &handle_limit) == 1) continue;
        if (sscanf(line, "ecb_iv %4095s", text) == 1) { ecb_iv = !strcmp(text, "null") ? 1 : !strcmp(text, "given") ? 2 : 0; continue; }
        if (sscanf(line, "%31s %d %4095s", word, &n, text) != 3 || n < 0 || n >= INDEXES) continue;
        slots[n].used = 1;
        if (!strcmp(word, "sign")) { from_hex(slots[n].sign, NUM, text); slots[n].has_sign = 1; }
        if (!strcmp(word, "enc")) { from_hex(slots[n].enc, NUM, text); slots[n].has_enc = 1; }
        if (!strcmp(word, "kek")) { from_hex(slots[n].kek, 16, text); slots[n].has_kek = 1; }
        if (!strcmp(word, "pin")) snprintf(slots[n].pin, sizeof slots[n].pin, "%.63s", text);
    }
    if (file) fclose(file);
}

/* The code of the fault that holds now, 0 for none. */
static U32 fault(void) {
    char path[4200];
    U32 code = 0;
    int after = 0;
    path_of(path, sizeof path, ".fault");
    FILE *file = fopen(path, "r");
    if (!file) { calls = 0; return 0; }
    int read = fscanf(file, "%x %d", &code, &after);
    fclose(file);
    if (read < 1 || (read == 2 && calls++ < after)) return 0;
    memset(sessions, 0, sizeof sessions);
    return code;
}

static int enter(const char *function) {
    if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) > 1) breach("called while another call runs", function);
    if (opened && owner != getpid() && strcmp(function, "SDF_OpenDevice")) breach("a device handle crossed a fork", function);
    struct timespec moment = {0, 20000};
    nanosleep(&moment, NULL); /* gives a second thread the time to be caught */
    return (int)fault();
}

static U32 leave(U32 code) {
    __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    return code;
}

#define ENTER do { int lost_ = enter(__func__); if (lost_) return leave((U32)lost_); } while (0)
#define SESSION Session *session = session_of(hSession); if (!session) return leave(INARGERR)
#define FAIL(code, text) do { breach(text, __func__); return leave(code); } while (0)
#define NEED(what) do { if (!(what)) FAIL(INARGERR, #what); } while (0)

static Session *session_of(void *handle) {
    for (int i = 0; i < SESSIONS; i++) if (handle == &sessions[i] && sessions[i].used && opened) return &sessions[i];
    return NULL;
}

static Key *key_of(Session *session, void *handle, const char *function) {
    for (int i = 0; i < HANDLES; i++) if (handle == &session->keys[i] && session->keys[i].used) return &session->keys[i];
    for (int s = 0; s < SESSIONS; s++) for (int i = 0; i < HANDLES; i++)
        if (handle == &sessions[s].keys[i] && sessions[s].keys[i].used) breach("a key handle of another session", function);
    return NULL;
}

static Key *new_key(Session *session) {
    for (int i = 0; i < handle_limit && i < HANDLES; i++) if (!session->keys[i].used) {
        session->keys[i].used = 1;
        return &session->keys[i];
    }
    return NULL;
}

/* ---- libcrypto -------------------------------------------------------------------------------------------------- */

static void *(*d2i_AutoPrivateKey)(void **, const U8 **, long);
static void *(*d2i_PUBKEY)(void **, const U8 **, long);
static int (*i2d_PUBKEY)(void *, U8 **);
static void (*EVP_PKEY_free)(void *);
static void *(*EVP_PKEY_CTX_new)(void *, void *);
static void (*EVP_PKEY_CTX_free)(void *);
static int (*EVP_PKEY_encrypt_init)(void *), (*EVP_PKEY_decrypt_init)(void *), (*EVP_PKEY_sign_init)(void *);
static int (*EVP_PKEY_encrypt)(void *, U8 *, size_t *, const U8 *, size_t);
static int (*EVP_PKEY_decrypt)(void *, U8 *, size_t *, const U8 *, size_t);
static int (*EVP_PKEY_sign)(void *, U8 *, size_t *, const U8 *, size_t);
static void *(*EVP_CIPHER_CTX_new)(void), (*EVP_CIPHER_CTX_free)(void *);
static const void *(*EVP_sm4_ecb)(void);
static int (*EVP_CipherInit_ex)(void *, const void *, void *, const U8 *, const U8 *, int);
static int (*EVP_CIPHER_CTX_set_padding)(void *, int);
static int (*EVP_CipherUpdate)(void *, U8 *, int *, const U8 *, int);
static int (*RAND_bytes)(U8 *, int);

static int load_crypto(void) {
    if (crypto) return 1;
    crypto = dlopen(crypto_path, RTLD_NOW | RTLD_LOCAL);
    if (!crypto) return 0;
#define GET(name) if (!(*(void **)(&name) = dlsym(crypto, #name))) return 0
    GET(d2i_AutoPrivateKey); GET(d2i_PUBKEY); GET(i2d_PUBKEY); GET(EVP_PKEY_free); GET(EVP_PKEY_CTX_new);
    GET(EVP_PKEY_CTX_free); GET(EVP_PKEY_encrypt_init); GET(EVP_PKEY_decrypt_init); GET(EVP_PKEY_sign_init);
    GET(EVP_PKEY_encrypt); GET(EVP_PKEY_decrypt); GET(EVP_PKEY_sign); GET(EVP_CIPHER_CTX_new);
    GET(EVP_CIPHER_CTX_free); GET(EVP_sm4_ecb); GET(EVP_CipherInit_ex); GET(EVP_CIPHER_CTX_set_padding);
    GET(EVP_CipherUpdate); GET(RAND_bytes);
    return 1;
}

static const U8 PRIVATE_DER[] = {0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a,
    0x81, 0x1c, 0xcf, 0x55, 1, 0x82, 0x2d, 4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20};
static const U8 PUBLIC_DER[] = {0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x81, 0x1c,
    0xcf, 0x55, 1, 0x82, 0x2d, 3, 0x42, 0, 4};

static void *private_key(const U8 *number) {
    U8 der[sizeof PRIVATE_DER + NUM];
    const U8 *at = der;
    memcpy(der, PRIVATE_DER, sizeof PRIVATE_DER);
    memcpy(der + sizeof PRIVATE_DER, number, NUM);
    return d2i_AutoPrivateKey(NULL, &at, sizeof der);
}

static int wide_ok(const U8 *wide) {
    for (int i = 0; i < WIDE - NUM; i++) if (wide[i]) return 0;
    return 1;
}

static int export_public(const U8 *number, ECCrefPublicKey *out) {
    U8 der[200], *at = der;
    void *key = private_key(number);
    int size = key ? i2d_PUBKEY(key, &at) : 0;
    if (key) EVP_PKEY_free(key);
    if (size != (int)sizeof PUBLIC_DER + 2 * NUM) return 0;
    memset(out, 0, sizeof *out);
    out->bits = 256;
    memcpy(out->x + NUM, der + sizeof PUBLIC_DER, NUM);
    memcpy(out->y + NUM, der + sizeof PUBLIC_DER + NUM, NUM);
    return 1;
}

/* Read a DER INTEGER into 64 bytes, right-aligned; return what follows. */
static const U8 *read_integer(const U8 *at, U8 *wide) {
    size_t size = at[1];
    const U8 *number = at + 2;
    memset(wide, 0, WIDE);
    while (size > NUM) { number++; size--; }
    memcpy(wide + WIDE - size, number, size);
    return number + size;
}

static U8 *write_integer(U8 *at, const U8 *wide) {
    const U8 *number = wide + NUM;
    int size = NUM;
    while (size > 1 && !*number) { number++; size--; }
    *at++ = 2;
    *at++ = (U8)(size + (*number >> 7));
    if (*number >> 7) *at++ = 0;
    memcpy(at, number, (size_t)size);
    return at + size;
}

static int sm2_encrypt(void *key, const U8 *plain, size_t size, ECCCipher *out) {
    U8 der[512];
    size_t length = sizeof der;
    void *context = EVP_PKEY_CTX_new(key, NULL);
    int good = EVP_PKEY_encrypt_init(context) == 1 && EVP_PKEY_encrypt(context, der, &length, plain, size) == 1;
    EVP_PKEY_CTX_free(context);
    if (!good) return 0;
    const U8 *at = der + (der[1] & 0x80 ? 3 : 2);
    at = read_integer(at, out->x);
    at = read_integer(at, out->y);
    memcpy(out->M, at + 2, NUM);
    at += 2 + NUM;
    out->L = at[1];
    memcpy(out->C, at + 2, at[1]);
    return 1;
}

static int sm2_decrypt(const U8 *number, const ECCCipher *in, U8 *plain, size_t *size) {
    U8 body[400], der[410], *at = body;
    at = write_integer(at, in->x);
    at = write_integer(at, in->y);
    *at++ = 4; *at++ = NUM; memcpy(at, in->M, NUM); at += NUM;
    *at++ = 4; *at++ = (U8)in->L; memcpy(at, in->C, in->L); at += in->L;
    size_t length = (size_t)(at - body), head = 2;
    der[0] = 0x30;
    if (length > 127) { der[1] = 0x81; der[2] = (U8)length; head = 3; } else der[1] = (U8)length;
    memcpy(der + head, body, length);
    void *key = private_key(number), *context = EVP_PKEY_CTX_new(key, NULL);
    int good = EVP_PKEY_decrypt_init(context) == 1 && EVP_PKEY_decrypt(context, plain, size, der, head + length) == 1;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

static int sm4(const U8 *key, int encrypt, const U8 *in, U32 size, U8 *out) {
    int done = 0;
    void *context = EVP_CIPHER_CTX_new();
    int good = EVP_CipherInit_ex(context, EVP_sm4_ecb(), NULL, key, NULL, encrypt) == 1
        && EVP_CIPHER_CTX_set_padding(context, 0) == 1 && EVP_CipherUpdate(context, out, &done, in, (int)size) == 1;
    EVP_CIPHER_CTX_free(context);
    return good && done == (int)size;
}

/* ---- device and sessions ---------------------------------------------------------------------------------------- */

U32 SDF_OpenDevice(void **phDevice) {
    ENTER;
    NEED(phDevice);
    if (opened && owner == getpid()) FAIL(OPENDEVICE, "the device is open in this process");
    configure();
    if (!load_crypto()) return leave(OPENDEVICE);
    memset(sessions, 0, sizeof sessions);
    opened = 1;
    owner = getpid();
    *phDevice = slots;
    return leave(OK);
}

U32 SDF_CloseDevice(void *hDevice) {
    int lost = enter(__func__);
    if (hDevice != slots || !opened) FAIL(INARGERR, "no such device handle");
    opened = 0;
    memset(sessions, 0, sizeof sessions);
    return leave((U32)lost);
}

U32 SDF_OpenSession(void *hDevice, void **phSession) {
    ENTER;
    NEED(phSession);
    if (hDevice != slots || !opened) FAIL(INARGERR, "no such device handle");
    for (int i = 0; i < session_limit && i < SESSIONS; i++) if (!sessions[i].used) {
        memset(&sessions[i], 0, sizeof sessions[i]);
        sessions[i].used = 1;
        *phSession = &sessions[i];
        return leave(OK);
    }
    return leave(OPENSESSION);
}

U32 SDF_CloseSession(void *hSession) {
    ENTER;
    SESSION;
    memset(session, 0, sizeof *session);
    return leave(OK);
}

U32 SDF_GetDeviceInfo(void *hSession, DEVICEINFO *info) {
    ENTER;
    SESSION;
    NEED(info);
    memset(info, 0, sizeof *info);
    memcpy(info->IssuerName, "YIMATONG TESTS", 14);
    memcpy(info->DeviceName, "SDF", 3);
    memcpy(info->DeviceSerial, "2026010100100001", 16);
    info->DeviceVersion = 1;
    info->StandardVersion = 1;
    info->AsymAlgAbility[0] = SGD_SM2_1 | SGD_SM2_3;
    info->AsymAlgAbility[1] = 256;
    info->SymAlgAbility = SGD_SM4_ECB;
    return leave(OK);
}

U32 SDF_GenerateRandom(void *hSession, U32 length, U8 *out) {
    ENTER;
    SESSION;
    NEED(out && length);
    return leave(RAND_bytes(out, (int)length) == 1 ? OK : RANDERR);
}

U32 SDF_GetPrivateKeyAccessRight(void *hSession, U32 index, U8 *pin, U32 length) {
    ENTER;
    SESSION;
    if (index >= INDEXES || !slots[index].used) return leave(KEYNOTEXIST);
    NEED(pin && length >= 8);
    if (strlen(slots[index].pin) != length || memcmp(slots[index].pin, pin, length)) return leave(PRKRERR);
    session->right[index] = 1;
    return leave(OK);
}

U32 SDF_ReleasePrivateKeyAccessRight(void *hSession, U32 index) {
    ENTER;
    SESSION;
    if (index >= INDEXES || !session->right[index]) FAIL(INARGERR, "a right that the session does not have");
    session->right[index] = 0;
    return leave(OK);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

U32 SDF_ExportSignPublicKey_ECC(void *hSession, U32 index, ECCrefPublicKey *out) {
    ENTER;
    SESSION;
    NEED(out);
    if (index >= INDEXES || !slots[index].has_sign) return leave(KEYNOTEXIST);
    return leave(export_public(slots[index].sign, out) ? OK : PKOPERR);
}

U32 SDF_ExportEncPublicKey_ECC(void *hSession, U32 index, ECCrefPublicKey *out) {
    ENTER;
    SESSION;
    NEED(out);
    if (index >= INDEXES || !slots[index].has_enc) return leave(KEYNOTEXIST);
    return leave(export_public(slots[index].enc, out) ? OK : PKOPERR);
}

U32 SDF_GenerateKeyWithIPK_ECC(void *hSession, U32 index, U32 bits, ECCCipher *out, void **phKey) {
    ENTER;
    SESSION;
    NEED(out && phKey && bits == 128);
    if (index >= INDEXES || !slots[index].has_enc) return leave(KEYNOTEXIST);
    Key *key = new_key(session);
    if (!key) return leave(NOBUFFER);
    void *pair = private_key(slots[index].enc);
    int good = RAND_bytes(key->value, 16) == 1 && sm2_encrypt(pair, key->value, 16, out);
    EVP_PKEY_free(pair);
    if (!good) { key->used = 0; return leave(PKOPERR); }
    *phKey = key;
    return leave(OK);
}

static U32 open_cipher(Session *session, U32 index, ECCCipher *in, U8 *plain, const char *function) {
    size_t size = 64;
    U8 out[64];
    if (!in || !wide_ok(in->x) || !wide_ok(in->y)) { breach("ECCCipher is not right-aligned", function); return INARGERR; }
    if (in->L != 16) { breach("L of a key of 128 bits is 16", function); return INARGERR; }
    if (index >= INDEXES || !slots[index].has_enc) return KEYNOTEXIST;
    if (!session->right[index]) { breach("no right to the private key", function); return PARDENY; }
    if (!sm2_decrypt(slots[index].enc, in, out, &size) || size != 16) return ENCDATAERR;
    memcpy(plain, out, 16);
    return OK;
}

U32 SDF_ImportKeyWithISK_ECC(void *hSession, U32 index, ECCCipher *in, void **phKey) {
    ENTER;
    SESSION;
    U8 value[16];
    NEED(phKey);
    U32 code = open_cipher(session, index, in, value, __func__);
    if (code) return leave(code);
    Key *key = new_key(session);
    if (!key) return leave(NOBUFFER);
    memcpy(key->value, value, 16);
    *phKey = key;
    return leave(OK);
}

U32 SDF_DestroyKey(void *hSession, void *hKey) {
    ENTER;
    SESSION;
    Key *key = key_of(session, hKey, __func__);
    if (!key) return leave(KEYNOTEXIST);
    memset(key, 0, sizeof *key);
    return leave(OK);
}

#ifndef ONLY_WHAT_IS_NEEDED
static void *public_key(const ECCrefPublicKey *key) {
    U8 der[sizeof PUBLIC_DER + 2 * NUM];
    const U8 *at = der;
    if (key->bits != 256 || !wide_ok(key->x) || !wide_ok(key->y)) return NULL;
    memcpy(der, PUBLIC_DER, sizeof PUBLIC_DER);
    memcpy(der + sizeof PUBLIC_DER, key->x + NUM, NUM);
    memcpy(der + sizeof PUBLIC_DER + NUM, key->y + NUM, NUM);
    return d2i_PUBKEY(NULL, &at, sizeof der);
}

U32 SDF_ExchangeDigitEnvelopeBaseOnECC(void *hSession, U32 index, U32 algorithm, ECCrefPublicKey *to, ECCCipher *in,
                                       ECCCipher *out) {
    ENTER;
    SESSION;
    U8 value[16];
    NEED(to && out);
    if (algorithm != SGD_SM2_3) FAIL(ALGNOTSUPPORT, "SGD_SM2_3 is asked for");
    U32 code = open_cipher(session, index, in, value, __func__);
    if (code) return leave(code);
    void *pair = public_key(to);
    if (!pair) FAIL(INARGERR, "not a public key of 256 bits, right-aligned");
    int good = sm2_encrypt(pair, value, 16, out);
    EVP_PKEY_free(pair);
    return leave(good ? OK : PKOPERR);
}

U32 SDF_ExternalEncrypt_ECC(void *hSession, U32 algorithm, ECCrefPublicKey *to, U8 *data, U32 length, ECCCipher *out) {
    ENTER;
    SESSION;
    NEED(to && data && length && length <= 136 && out);
    if (algorithm != SGD_SM2_3) FAIL(ALGNOTSUPPORT, "SGD_SM2_3 is asked for");
    void *pair = public_key(to);
    if (!pair) FAIL(INARGERR, "not a public key of 256 bits, right-aligned");
    int good = sm2_encrypt(pair, data, length, out);
    EVP_PKEY_free(pair);
    return leave(good ? OK : PKOPERR);
}

U32 SDF_GenerateKeyWithKEK(void *hSession, U32 bits, U32 algorithm, U32 index, U8 *out, U32 *length, void **phKey) {
    ENTER;
    SESSION;
    NEED(out && length && phKey && bits == 128);
    if (algorithm != SGD_SM4_ECB) FAIL(ALGMODNOTSUPPORT, "keys are wrapped by SM4-ECB");
    if (index >= INDEXES || !slots[index].has_kek) return leave(KEYNOTEXIST);
    Key *key = new_key(session);
    if (!key) return leave(NOBUFFER);
    if (RAND_bytes(key->value, 16) != 1 || !sm4(slots[index].kek, 1, key->value, 16, out)) return leave(SYMOPERR);
    *length = 16;
    *phKey = key;
    return leave(OK);
}

U32 SDF_ImportKeyWithKEK(void *hSession, U32 algorithm, U32 index, U8 *in, U32 length, void **phKey) {
    ENTER;
    SESSION;
    NEED(in && length == 16 && phKey);
    if (algorithm != SGD_SM4_ECB) FAIL(ALGMODNOTSUPPORT, "keys are wrapped by SM4-ECB");
    if (index >= INDEXES || !slots[index].has_kek) return leave(KEYNOTEXIST);
    Key *key = new_key(session);
    if (!key) return leave(NOBUFFER);
    if (!sm4(slots[index].kek, 0, in, 16, key->value)) return leave(SYMOPERR);
    *phKey = key;
    return leave(OK);
}
#endif

/* ---- work ------------------------------------------------------------------------------------------------------- */

U32 SDF_InternalSign_ECC(void *hSession, U32 index, U8 *data, U32 length, ECCSignature *out) {
    ENTER;
    SESSION;
    NEED(data && length == 32 && out);
    if (index >= INDEXES || !slots[index].has_sign) return leave(KEYNOTEXIST);
    if (!session->right[index]) FAIL(PARDENY, "no right to the private key");
    U8 der[200];
    size_t size = sizeof der;
    void *pair = private_key(slots[index].sign), *context = EVP_PKEY_CTX_new(pair, NULL);
    int good = EVP_PKEY_sign_init(context) == 1 && EVP_PKEY_sign(context, der, &size, data, length) == 1;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(pair);
    if (!good) return leave(SIGNERR);
    read_integer(read_integer(der + 2, out->r), out->s);
    return leave(OK);
}

static U32 blocks(int encrypt, void *hSession, void *hKey, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *out,
                  U32 *out_length, const char *function) {
    Session *session = session_of(hSession);
    if (!session) return INARGERR;
    if (!in || !out || !out_length || !length || length % 16) { breach("whole blocks", function); return INARGERR; }
    if (algorithm != SGD_SM4_ECB) { breach("SGD_SM4_ECB is asked for", function); return ALGMODNOTSUPPORT; }
    if ((ecb_iv == 1 && iv) || (ecb_iv == 2 && !iv)) return INARGERR;
    if (*out_length < length) { breach("the place for output is too small", function); return OUTARGERR; }
    Key *key = key_of(session, hKey, function);
    if (!key) return KEYNOTEXIST;
    if (!sm4(key->value, encrypt, in, length, out)) return SYMOPERR;
    if (iv) memcpy(iv, out + length - 16, 16); /* the text says in and out, so the caller's buffer is written */
    *out_length = length;
    return OK;
}

U32 SDF_Encrypt(void *hSession, void *hKey, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *out, U32 *out_length) {
    ENTER;
    return leave(blocks(1, hSession, hKey, algorithm, iv, in, length, out, out_length, __func__));
}

U32 SDF_Decrypt(void *hSession, void *hKey, U32 algorithm, U8 *iv, U8 *in, U32 length, U8 *out, U32 *out_length) {
    ENTER;
    return leave(blocks(0, hSession, hKey, algorithm, iv, in, length, out, out_length, __func__));
}
