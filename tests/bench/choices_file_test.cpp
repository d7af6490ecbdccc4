// What is known about a device's kernels, on disk.
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/kernels/select/kernel_choices_file.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

StoredChoices some_choices() {
    StoredChoices stored;
    stored.choices.preferred["q4_k [1, 2] x 1"] = "matvec(64)";
    stored.choices.rejected = {"matmul(1) q4_k"};
    stored.tested = {"matmul(1) q4_k", "matvec(64) q4_k"};
    stored.unfinished = {"matmul(2) q4_k"};
    stored.ended_once = {"matmul(3) q4_k"};
    return stored;
}

TEST(ChoicesFile, ComesBackAsItWas) {
    const TempDir folder;
    const auto path = folder.path() / "a" / "b.json";
    const ChoicesOwner owner{"a card", "1.2", "abc"};
    ASSERT_TRUE(write_choices(path, owner, some_choices()));
    const auto read = read_choices(path, owner);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->choices.preferred, some_choices().choices.preferred);
    EXPECT_EQ(read->choices.rejected, some_choices().choices.rejected);
    EXPECT_EQ(read->tested, some_choices().tested);
    EXPECT_EQ(read->unfinished, some_choices().unfinished);
    EXPECT_EQ(read->ended_once, some_choices().ended_once);
}

TEST(ChoicesFile, BelongsToOneDeviceDriverAndBuild) {
    const TempDir folder;
    const auto path = folder.path() / "b.json";
    ASSERT_TRUE(write_choices(path, {"a card", "1.2", "abc"}, some_choices()));
    for (const ChoicesOwner& other :
         {ChoicesOwner{"b card", "1.2", "abc"}, {"a card", "1.3", "abc"}, {"a card", "1.2", "abd"}}) {
        const auto read = read_choices(path, other);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, ErrorCode::unsupported);
    }
    EXPECT_EQ(read_choices(folder.path() / "none.json", {}).error().code, ErrorCode::not_found);
}

TEST(ChoicesFile, DamageIsAnErrorNotACrash) {
    const TempDir folder;
    const auto path = folder.path() / "b.json";
    const ChoicesOwner owner{"a card", "1.2", "abc"};
    const std::string head = R"({"schema": 1, "device": "a card", "driver": "1.2", "build": "abc")";
    for (const std::string& text :
         {std::string(), std::string("x"), std::string("[]"), std::string("{}"), std::string("{\"schema\": \"1\"}"),
          head, head + "}", head + R"(, "preferred": [], "rejected": [], "tested": []})",
          head + R"(, "preferred": {"a": 1}, "rejected": [], "tested": []})",
          head + R"(, "preferred": {}, "rejected": [1], "tested": []})", head + R"(, "preferred": {}, "rejected": []})",
          std::string(100'000, '[')}) {
        std::ofstream(path, std::ios::trunc) << text;
        EXPECT_FALSE(read_choices(path, owner)) << text.substr(0, 80);
    }
    std::ofstream(path, std::ios::trunc) << head + R"(, "preferred": {}, "rejected": [], "tested": []})";
    EXPECT_TRUE(read_choices(path, owner));
}

}  // namespace
}  // namespace atlas
