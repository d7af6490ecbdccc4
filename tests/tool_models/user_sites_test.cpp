// What the environment says about servers and certificates.
#include "tools/models/user_sites.h"

#include <gtest/gtest.h>

#include <map>

namespace atlas::tools {
namespace {

Environment environment(std::map<std::string, std::string> values) {
    return [values](const char* name) -> std::optional<std::string> {
        const auto found = values.find(name);
        if (found == values.end()) return std::nullopt;
        return found->second;
    };
}

TEST(UserSites, EndpointAndToken) {
    const auto sites =
        sites_of(environment({{"HF_ENDPOINT", "https://mirror.example/"}, {"HF_TOKEN", "hf_secret\n"}})).value();
    EXPECT_EQ(sites.hugging_face, "https://mirror.example");
    EXPECT_EQ(sites.hugging_face_token, "hf_secret");
    EXPECT_EQ(sites_of(environment({{"HF_ENDPOINT", ""}})).value().hugging_face, Sites{}.hugging_face);
    for (const std::string wrong : {"mirror.example", "ftp://mirror.example", "https://mirror.example/\x1b[2J"}) {
        const auto refused = sites_of(environment({{"HF_ENDPOINT", wrong}}));
        ASSERT_FALSE(refused.has_value()) << wrong;
        EXPECT_NE(refused.error().message.find("HF_ENDPOINT"), std::string::npos);
        EXPECT_EQ(refused.error().message.find('\x1b'), std::string::npos);
    }
    const auto injected = sites_of(environment({{"HF_TOKEN", "hf_secret\r\nX-Other: 1"}}));
    ASSERT_FALSE(injected.has_value());
    EXPECT_EQ(injected.error().message.find("secret"), std::string::npos) << "a secret is not shown";
}

TEST(UserSites, CertificatesAsCurlReadsThem) {
    const auto both =
        authorities_of(environment({{"SSL_CERT_FILE", "/a"}, {"CURL_CA_BUNDLE", "/b"}, {"SSL_CERT_DIR", "/c"}}));
    EXPECT_EQ(both.file, "/b");
    EXPECT_EQ(both.folder, "/c");
    EXPECT_EQ(authorities_of(environment({{"SSL_CERT_FILE", "/a"}})).file, "/a");
    EXPECT_TRUE(authorities_of(environment({})).file.empty());
}

}  // namespace
}  // namespace atlas::tools
