#include "tools/answer_lines.h"

#include <gtest/gtest.h>

namespace atlas::tools {
namespace {

using Json = nlohmann::ordered_json;

class Lines : public ::testing::Test {
  protected:
    ~Lines() override { std::fclose(file_); }
    std::vector<Json> written() {
        std::vector<Json> lines;
        std::rewind(file_);
        std::string line;
        for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) {
            if (c != '\n')
                line += static_cast<char>(c);
            else
                lines.push_back(Json::parse(std::exchange(line, "")));
        }
        return lines;
    }
    std::FILE* file_ = std::tmpfile();
    AnswerLines lines_{{"a", "b", "c", "d"}, file_};
};

TEST_F(Lines, AreWrittenInOrderAsSoonAsTheirTurnComes) {
    lines_.put(1, {{"answer", "B"}, {"finish", "complete"}});
    EXPECT_EQ(written().size(), 0u);
    lines_.put(0, {{"answer", "A"}, {"finish", "complete"}});
    ASSERT_EQ(written().size(), 2u);
    EXPECT_EQ(written()[1], (Json{{"prompt", "b"}, {"answer", "B"}, {"finish", "complete"}}));
}

// The device is lost when two of four are done: both are kept, also the one that waited for an earlier line.
TEST_F(Lines, WhatIsFinishedSurvivesAFailure) {
    lines_.put(0, {{"answer", "A"}, {"finish", "complete"}});
    lines_.put(2, {{"answer", "C"}, {"finish", "max_tokens"}});
    lines_.fail_rest("the device was lost");
    const auto all = written();
    ASSERT_EQ(all.size(), 4u);
    EXPECT_EQ(all[0]["answer"], "A");
    EXPECT_EQ(all[2]["answer"], "C");
    for (const size_t i : {1, 3}) EXPECT_EQ(all[i]["error"], "the device was lost") << i;
    EXPECT_EQ(lines_.n_answered(), 2u);
}

TEST_F(Lines, APromptGetsOneLine) {
    lines_.put_failed(0, "too long");
    lines_.put(0, {{"answer", "A"}, {"finish", "complete"}});
    EXPECT_EQ(written().size(), 1u);
    EXPECT_EQ(lines_.n_answered(), 0u);
}

TEST_F(Lines, BytesThatAreNoUtf8DoNotEndTheProgram) {
    lines_.put(0, {{"answer", "\xff"}, {"finish", "complete"}});
    EXPECT_EQ(written()[0]["answer"], "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace atlas::tools
