#include "tools/progress_bar.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <thread>

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

// stdout and stderr, on a terminal while this lives.
class OnTerminal {
  public:
    OnTerminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
        if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) return;
        const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
        if (slave < 0) return;
        std::fflush(nullptr);
        for (size_t i = 0; i < kept_.size(); ++i) {
            kept_[i] = dup(static_cast<int>(i) + 1);
            dup2(slave, static_cast<int>(i) + 1);
        }
        close(slave);
        is_open_ = true;
    }
    ~OnTerminal() {
        restore();
        if (master_ >= 0) close(master_);
    }
    OnTerminal(const OnTerminal&) = delete;
    OnTerminal& operator=(const OnTerminal&) = delete;

    bool is_open() const { return is_open_; }
    /// Ends it. What was written: the terminal hands it on piece by piece.
    std::string text() {
        std::fflush(nullptr);
        std::string all;
        std::array<char, 4096> buffer{};
        pollfd ready{master_, POLLIN, 0};
        while (poll(&ready, 1, kQuietMs) > 0) {
            const ssize_t n = read(master_, buffer.data(), buffer.size());
            if (n <= 0) break;
            all.append(buffer.data(), static_cast<size_t>(n));
        }
        restore();
        return all;
    }

  private:
    void restore() {
        for (size_t i = 0; is_open_ && i < kept_.size(); ++i) {
            dup2(kept_[i], static_cast<int>(i) + 1);
            close(kept_[i]);
        }
        is_open_ = false;
    }
    static constexpr int kQuietMs = 300;
    int master_;
    std::array<int, 2> kept_{};
    bool is_open_ = false;
};

void wait_for_two_redraws() { std::this_thread::sleep_for(std::chrono::milliseconds(450)); }

// A kernel may be compiled in the middle of an answer.
TEST(ProgressBar, IsNotDrawnOverAnUnfinishedLineOfText) {
    OnTerminal terminal;
    if (!terminal.is_open()) GTEST_SKIP() << "there is no pseudo-terminal";
    {
        ProgressBar bar("compiling", {.unit = "kernels", .quiet_for = {}});
        bar.show(1, 2);
        wait_for_two_redraws();
        write_stdout("apple");
        wait_for_two_redraws();
        write_stdout(", pear\n");
    }
    const std::string text = terminal.text();
    EXPECT_THAT(text, HasSubstr("\rcompiling"));
    EXPECT_THAT(text, HasSubstr("\r\033[Kapple, pear"));
}

TEST(ProgressBar, AMessageHasALineOfItsOwn) {
    OnTerminal terminal;
    if (!terminal.is_open()) GTEST_SKIP() << "there is no pseudo-terminal";
    write_stdout("apple");
    write_stderr("a warning\n");
    write_stdout("pear\n");
    write_stderr("a note\n");
    EXPECT_EQ(terminal.text(), "apple\r\na warning\r\npear\r\na note\r\n");
}

}  // namespace
}  // namespace atlas::tools
