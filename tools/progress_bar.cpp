#include "tools/progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string_view>
#include <utility>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"

namespace atlas::tools {

namespace {

constexpr size_t kWidestBar = 30;
constexpr size_t kNarrowestBar = 10;

// Characters of three bytes and more count as two columns, as Chinese and emoji take: a line may be shorter than it
// could, never longer.
size_t columns_of(std::string_view text) {
    size_t columns = 0;
    while (!text.empty()) {
        const size_t bytes = std::max<size_t>(utf8_length(text), 1);
        columns += bytes >= 3 ? 2 : 1;
        text.remove_prefix(bytes);
    }
    return columns;
}

// The beginning of a text, with "..." where something is missing.
std::string cut(std::string_view text, size_t columns) {
    if (columns_of(text) <= columns) return std::string(text);
    const size_t room = columns > 3 ? columns - 3 : 0;
    std::string out;
    for (size_t used = 0; !text.empty();) {
        const size_t bytes = std::max<size_t>(utf8_length(text), 1);
        used += bytes >= 3 ? 2 : 1;
        if (used > room) break;
        out += text.substr(0, bytes);
        text.remove_prefix(bytes);
    }
    return out + std::string(std::min<size_t>(columns, 3), '.');
}

// Work of a single step would show 0 % until its end.
bool is_under_way(const Progress& p) { return p.has_begun && (p.done > 0 || p.total.value_or(0) == 0); }

std::string amount_text(const Progress& p) {
    if (!p.has_begun) return "";
    const auto number = [&](uint64_t n) { return p.unit.empty() ? bytes_text(n) : fmt::format("{}", n); };
    std::string text = !is_under_way(p) ? number(*p.total)
                       : p.total        ? fmt::format("{} of {}", number(p.done), number(*p.total))
                                        : number(p.done);
    if (!p.unit.empty()) text += " " + p.unit;
    return text;
}

std::string speed_text(const Progress& p) {
    if (p.per_second <= 0) return "";
    if (p.unit.empty()) return bytes_text(static_cast<uint64_t>(p.per_second)) + "/s";
    return fmt::format("{:.{}f} {}/s", p.per_second, p.per_second < 10 ? 1 : 0, p.unit);
}

std::string left_text(const Progress& p) {
    if (!is_under_way(p))
        return p.seconds < 1    ? ""
               : p.seconds < 60 ? fmt::format("{} s", static_cast<int>(p.seconds))
                                : duration_text(p.seconds);
    if (!p.total || p.per_second <= 0 || p.done >= *p.total) return "";
    return duration_text(static_cast<double>(*p.total - p.done) / p.per_second) + " left";
}

double share_of(const Progress& p) {
    if (!p.total || *p.total == 0) return 1.0;
    return std::min(1.0, static_cast<double>(p.done) / static_cast<double>(*p.total));
}

std::string bar_text(double share, size_t width) {
    const auto full = static_cast<size_t>(share * static_cast<double>(width));
    return fmt::format(" [{}{}]", std::string(full, '#'), std::string(width - full, '.'));
}

}  // namespace

std::string progress_line(const Progress& p, size_t columns) {
    const bool has_bar = p.total && is_under_way(p);
    const std::string percent = has_bar ? fmt::format(" {:3.0f} %", share_of(p) * 100) : "";
    const std::array<std::string, 3> parts = {amount_text(p), left_text(p),
                                              speed_text(p)};  // in the order in which they get room
    size_t all = percent.size();
    for (const std::string& part : parts) all += part.empty() ? 0 : part.size() + 2;
    const size_t bar = has_bar ? kNarrowestBar + 3 : 0;
    const std::string label =
        cut(printable(p.label, 200), std::max(columns / 3, columns - std::min(columns, all + bar)));

    std::string tail = percent;
    for (size_t i = 0; i < parts.size(); ++i) {
        // The amount matters more than a bar; what follows does not.
        const size_t taken = columns_of(label) + tail.size() + (i == 0 ? 0 : bar);
        if (parts[i].empty()) continue;
        if (taken + parts[i].size() + 2 > columns) break;
        tail += (tail.size() == percent.size() ? "  " : ", ") + parts[i];
    }
    const size_t left = columns - std::min(columns, columns_of(label) + tail.size());
    const std::string drawn = has_bar && left >= bar ? bar_text(share_of(p), std::min(kWidestBar, left - 3)) : "";
    return cut(label + drawn + tail, columns);
}

size_t terminal_columns() {
    winsize size = {};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

namespace {

// Guards all bars and the state of stderr's last line.
std::mutex g_mutex;
const ProgressBar* g_shown = nullptr;
const ProgressBar* g_front = nullptr;
bool g_is_in_text = false;  // the terminal's last line is an unfinished one of stdout
constexpr std::chrono::milliseconds kRedraw{200};

// Unlike fmt::print it does not throw when the terminal is closed.
void put(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

}  // namespace

void write_stderr(std::string_view text) {
    const std::scoped_lock lock(g_mutex);
    if (g_shown != nullptr) put("\r\033[K");
    g_shown = nullptr;
    if (std::exchange(g_is_in_text, false) && isatty(STDERR_FILENO) != 0) put("\n");
    put(text);
}

bool write_stdout(std::string_view text) {
    const std::scoped_lock lock(g_mutex);
    if (!text.empty() && isatty(STDOUT_FILENO) != 0) {
        if (g_shown != nullptr) put("\r\033[K");
        g_shown = nullptr;
        g_is_in_text = !text.ends_with('\n');
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0;
}

ProgressBar::ProgressBar(std::string label, ProgressStyle style)
    : style_(std::move(style)),
      progress_{std::move(label), style_.unit, 0, {}, 0},
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_line_(start_) {
    if (style_.in_front) {
        const std::scoped_lock lock(g_mutex);
        g_front = this;
    }
    if (terminal_) drawer_ = std::jthread([this](const std::stop_token& stop) { draw_from_time_to_time(stop); });
}

ProgressBar::~ProgressBar() {
    if (drawer_.joinable()) {
        drawer_.request_stop();
        drawer_.join();
    }
    wipe();
    const std::scoped_lock lock(g_mutex);
    if (g_front == this) g_front = nullptr;
}

void ProgressBar::start(std::string label) {
    const std::scoped_lock lock(g_mutex);
    erase();
    progress_ = {std::move(label), style_.unit, 0, {}, 0};
    start_ = last_line_ = Clock::now();
    first_.reset();
    is_active_ = true;
}

double ProgressBar::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void ProgressBar::show(uint64_t done, std::optional<uint64_t> total) {
    const std::scoped_lock lock(g_mutex);
    if (!first_) first_ = done;
    progress_.done = done;
    progress_.total = total;
    if (terminal_ || style_.line_every.count() == 0 || Clock::now() - last_line_ < style_.line_every) return;
    last_line_ = Clock::now();
    put(progress_line(state(), 120) + "\n");
}

void ProgressBar::keep() {
    const std::scoped_lock lock(g_mutex);
    is_active_ = false;
    if (g_shown != this) return;
    if (!first_) return erase();
    draw();
    put("\n");
    g_shown = nullptr;
}

void ProgressBar::wipe() {
    const std::scoped_lock lock(g_mutex);
    is_active_ = false;
    erase();
}

void ProgressBar::draw_from_time_to_time(const std::stop_token& stop) {
    std::condition_variable_any never;
    std::unique_lock lock(g_mutex);
    while (!stop.stop_requested()) {
        never.wait_for(lock, stop, kRedraw, [] { return false; });
        const bool is_covered = g_front != nullptr && g_front != this;
        if (!stop.stop_requested() && is_active_ && !is_covered && Clock::now() - start_ >= style_.quiet_for) draw();
    }
}

Progress ProgressBar::state() const {
    Progress progress = progress_;
    const double passed = progress.seconds = seconds();
    progress.has_begun = first_.has_value();
    // The first tenths of a second are too short to measure a speed.
    if (first_ && passed > 0.2 && progress.done > *first_)
        progress.per_second = static_cast<double>(progress.done - *first_) / passed;
    return progress;
}

void ProgressBar::draw() {
    if (g_is_in_text) return;
    // The last column stays free: some terminals go to the next line when it is written.
    put("\r" + progress_line(state(), terminal_columns() - 1) + "\033[K");
    g_shown = this;
}

void ProgressBar::erase() {
    if (g_shown != this) return;
    put("\r\033[K");
    g_shown = nullptr;
}

}  // namespace atlas::tools
