#include "runtime/base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "runtime/base/check.h"

namespace atlas {

struct Sha256::Context {
    EVP_MD_CTX* handle = EVP_MD_CTX_new();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { restart(); }
Sha256::~Sha256() { EVP_MD_CTX_free(context_->handle); }

void Sha256::restart() {
    const int done = EVP_DigestInit_ex(context_->handle, EVP_sha256(), nullptr);
    ATLAS_CHECK(done == 1, "SHA-256 is not available in OpenSSL");
}

void Sha256::add(const void* data, size_t bytes) {
    const int done = EVP_DigestUpdate(context_->handle, data, bytes);
    ATLAS_CHECK(done == 1);
}

std::string Sha256::hexadecimal() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const int done = EVP_DigestFinal_ex(context_->handle, digest, &size);
    ATLAS_CHECK(done == 1);
    std::string text;
    for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
}

}  // namespace atlas
