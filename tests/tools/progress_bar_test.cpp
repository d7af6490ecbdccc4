#include "tools/progress_bar.h"

#include <gmock/gmock.h>

namespace atlas::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Progress kDownload = {"qwen2.5-coder-32b-instruct-q4_k_m-00001-of-00005.gguf (1 of 5)", "", 1'200'000'000,
                            4'000'000'000, 12'000'000};

TEST(ProgressLine, FitsEveryTerminal) {
    for (size_t columns = 0; columns <= 200; ++columns)
        EXPECT_LE(progress_line(kDownload, columns).size(), columns) << columns;
}

TEST(ProgressLine, SaysTheMostImportantFirst) {
    const std::string wide = progress_line(kDownload, 160);
    for (const char* part : {"(1 of 5) [###", " 30 %", "1.12 GiB of 3.73 GiB", "3 min 53 s left", "11.4 MiB/s"})
        EXPECT_THAT(wide, HasSubstr(part));
    const std::string usual = progress_line(kDownload, 79);
    for (const char* part : {"qwen2.5-coder", "...", " [###", " 30 %", "1.12 GiB of 3.73 GiB"})
        EXPECT_THAT(usual, HasSubstr(part));
    const std::string narrow = progress_line(kDownload, 30);
    EXPECT_THAT(narrow, HasSubstr(" 30 %"));
    EXPECT_THAT(narrow, Not(HasSubstr("left")));
}

TEST(ProgressLine, CountsOtherThingsThanBytesAndUnknownTotals) {
    EXPECT_EQ(progress_line({"reading the prompt", "tokens", 512, 2048, 100}, 79),
              "reading the prompt [####...............]  25 %  512 of 2048 tokens, 15.4 s left");
    EXPECT_EQ(progress_line({"page", "", 2048, {}, 0}, 79), "page  2.00 KiB");
    EXPECT_THAT(progress_line({"empty", "", 0, 0, 0}, 79), HasSubstr("100 %"));
}

// A prompt of one step, a download without a first byte, work of unknown amount: no bar that stays at 0 %.
TEST(ProgressLine, BeforeTheFirstStepThereIsNoBar) {
    EXPECT_EQ(progress_line({"reading the prompt", "tokens", 0, 300, 0, 4.2}, 79),
              "reading the prompt  300 tokens, 4 s");
    EXPECT_EQ(progress_line({"reading the prompt", "tokens", 0, 300, 0, 0.4}, 79), "reading the prompt  300 tokens");
    EXPECT_EQ(progress_line({"smollm2-135m", "", 0, {}, 0, 3, false}, 79), "smollm2-135m  3 s");
    EXPECT_EQ(progress_line({"smollm2-135m", "", 0, {}, 0, 0, false}, 79), "smollm2-135m");
}

TEST(ProgressLine, ForeignNamesAreEscapedAndWideCharactersCounted) {
    EXPECT_THAT(progress_line({"a\033[2Jb", "", 1, 2, 0}, 79), Not(HasSubstr("\033")));
    const std::string line =
        progress_line({"模型模型模型模型模型模型模型模型模型模型模型模型模型模型.gguf", "", 1, 2, 0}, 40);
    EXPECT_THAT(line, HasSubstr("..."));
    size_t columns = 0;
    for (const char c : line) columns += (c & 0xC0) == 0x80 ? 0 : (c & 0x80) != 0 ? 2 : 1;
    EXPECT_LE(columns, 40u);
}

}  // namespace
}  // namespace atlas::tools
