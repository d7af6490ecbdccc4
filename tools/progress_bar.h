#pragma once
// How far a long piece of work has come: one line on stderr that fits the terminal.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace atlas::tools {

struct ProgressStyle {
    std::string unit;                         // what is counted, "tokens"; empty: bytes
    std::chrono::milliseconds quiet_for{1000};  // short work shows nothing
    std::chrono::milliseconds line_every{0};  // where stderr is no terminal: a whole line this often; 0: none
};

struct Progress {
    std::string label;
    std::string unit;
    uint64_t done = 0;
    std::optional<uint64_t> total;
    double per_second = 0;  // 0: not known yet
};

/// "label [####....]  42 %  1.20 GiB of 2.86 GiB, 34 s left, 48 MiB/s", in at most `columns` columns: what matters least is left out first (speed,
/// time left, bar, amount), then the label is cut.
std::string progress_line(const Progress& progress, size_t columns);

/// Columns of the terminal on stderr; 80 where that is not known.
size_t terminal_columns();

/// Draws itself while the work goes on and wipes itself at its end. On a terminal only, or as lines elsewhere if the style says so.
class ProgressBar {
  public:
    explicit ProgressBar(std::string label, ProgressStyle style = {});
    ~ProgressBar() { wipe(); }
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    /// Starts over with other work.
    void start(std::string label);
    /// Call as often as you like; it draws ten times a second at most. `total`: nothing where it is not known.
    void show(uint64_t done, std::optional<uint64_t> total);
    /// Makes room for other text on stderr; the next show() draws it again.
    void wipe();
    /// Leaves the line as it stands and goes to the next one.
    void keep();
    double seconds() const;  // since start

  private:
    using Clock = std::chrono::steady_clock;
    ProgressStyle style_;
    std::string label_;
    bool terminal_;
    bool is_drawn_ = false;
    Clock::time_point start_, drawn_at_;
    std::optional<uint64_t> first_;  // what was done before this run: a resumed download
};

}  // namespace atlas::tools
