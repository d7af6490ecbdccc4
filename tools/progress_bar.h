#pragma once
// The progress of long work: one line on stderr that fits the terminal.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

namespace atlas::tools {

struct ProgressStyle {
    std::string unit;                           // of what is counted, "tokens"; empty: bytes
    std::chrono::milliseconds quiet_for{1000};  // short work shows nothing
    std::chrono::milliseconds line_every{0};    // where stderr is no terminal: print a line this often; 0: none
    bool in_front = false;                      // while it lives, the others draw nothing
};

struct Progress {
    std::string label;
    std::string unit;
    uint64_t done = 0;
    std::optional<uint64_t> total;
    double per_second = 0;  // 0: not known yet
    double seconds = 0;     // since the start
    bool has_begun = true;  // false: nothing is known of the amount
};

/// "label [####....]  42 %  1.20 GiB of 2.86 GiB, 34 s left, 48 MiB/s", in at most `columns` columns: the least
/// important part is left out first (speed, time left, bar, amount), then the label is cut. Before the first part of
/// the work is done, it shows the amount and the time since the start.
std::string progress_line(const Progress& progress, size_t columns);

/// Columns of the terminal on stderr; 80 if unknown.
size_t terminal_columns();

/// Writes to stderr. A bar that is shown is wiped first and drawn again later; a line of stdout's text that the
/// terminal shows unfinished is ended first. What cannot be written is dropped, because the work must continue when the
/// terminal is closed.
void write_stderr(std::string_view text);

/// Writes a part of an answer to stdout. Where that is a terminal, a bar that is shown is wiped first, and none is
/// drawn before the text's line ends. False: it cannot be written.
bool write_stdout(std::string_view text);

/// Draws itself during the work, also between calls of show(), and wipes itself at its end. On a terminal only, or as
/// lines elsewhere if the style says so. Only one is shown at a time.
class ProgressBar {
  public:
    explicit ProgressBar(std::string label, ProgressStyle style = {});
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    /// Starts over with other work.
    void start(std::string label);
    /// Call as often as you like, from one thread. `total`: nothing where it is not known.
    void show(uint64_t done, std::optional<uint64_t> total);
    /// Leaves the line on the terminal, begins a new one, and draws no more before start(). Wipes the line if show()
    /// was never called.
    void keep();
    /// Wipes the line and draws no more before start().
    void wipe();
    double seconds() const;  // since start

  private:
    using Clock = std::chrono::steady_clock;
    void draw_from_time_to_time(const std::stop_token& stop);
    void draw();   // with the lock held
    void erase();  // with the lock held
    Progress state() const;
    ProgressStyle style_;
    Progress progress_;
    bool terminal_;
    bool is_active_ = true;
    Clock::time_point start_, last_line_;
    std::optional<uint64_t> first_;  // what was done before this run: a resumed download
    std::jthread drawer_;            // on a terminal
};

}  // namespace atlas::tools
