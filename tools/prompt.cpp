#include "tools/prompt.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "tools/messages.h"

namespace atlas::tools {

namespace {

constexpr size_t kMostBytes = 64 * kMiB;

// Waiting for stdin without a message looks like hanging.
void tell_of_waiting(int descriptor) {
    constexpr int kPatienceMs = 2000;
    pollfd wanted = {descriptor, POLLIN, 0};
    if (poll(&wanted, 1, kPatienceMs) == 0)
        note("waiting for stdin, whose text is part of the prompt; give </dev/null to go without");
}

Result<std::string> read_all(int descriptor, std::string_view name) {
    std::string text;
    std::array<char, 1 << 16> buffer;
    for (;;) {
        const ssize_t got = read(descriptor, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(ErrorCode::io, "{}: cannot be read: {}", name, std::strerror(errno));
        if (got == 0) break;
        text.append(buffer.data(), static_cast<size_t>(got));
        if (text.size() > kMostBytes)
            return fail(ErrorCode::limit, "{}: longer than {}, the most that is read", name, bytes_text(kMostBytes));
    }
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
        return fail(ErrorCode::corrupt, "{} is UTF-16: expected UTF-8 (iconv -f UTF-16 -t UTF-8 writes it)", name);
    return text;
}

Result<std::string> read_stdin() {
    tell_of_waiting(STDIN_FILENO);
    return read_all(STDIN_FILENO, "stdin");
}

// The name of a process and its parent, from "42 (name) S 41 ...".
struct Process {
    std::string name;
    long parent = 0;
};

std::optional<Process> process(long id) {
    std::ifstream in(fmt::format("/proc/{}/stat", id));
    const std::string line((std::istreambuf_iterator<char>(in)), {});
    const size_t open = line.find('('), close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close + 4 >= line.size()) return std::nullopt;
    return Process{line.substr(open + 1, close - open - 1), std::strtol(line.c_str() + close + 4, nullptr, 10)};
}

// Programs that start one other program in their place, with their stdin.
bool is_wrapper(const std::string& name) {
    constexpr std::array kWrappers = {"timeout", "time", "sudo",  "doas",    "su",     "runuser", "strace",
                                      "ltrace",  "perf", "flock", "unshare", "setsid", "valgrind"};
    return std::find(kWrappers.begin(), kWrappers.end(), name) != kWrappers.end();
}

// Whether the process that started us has the same stdin, so that it may be reading there itself. False if that cannot
// be found out.
bool parent_has(const struct stat& ours) {
    for (long id = getppid(); id > 0;) {
        struct stat theirs = {};
        if (stat(fmt::format("/proc/{}/fd/0", id).c_str(), &theirs) != 0) return false;
        if (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino) return false;
        const auto parent = process(id);
        if (!parent || !is_wrapper(parent->name)) return true;
        id = parent->parent;
    }
    return false;
}

// Whether stdin is part of a prompt that does not ask for it.
bool stdin_was_given() {
    struct stat ours = {};
    if (fstat(STDIN_FILENO, &ours) != 0) return false;
    const bool is_file = S_ISREG(ours.st_mode);
    if (!is_file && !S_ISFIFO(ours.st_mode) && !S_ISSOCK(ours.st_mode)) return false;
    if (!parent_has(ours)) return true;
    if (is_file && lseek(STDIN_FILENO, 0, SEEK_CUR) == 0) return true;
    int waiting = 0;
    const bool has_text = is_file ? lseek(STDIN_FILENO, 0, SEEK_CUR) < ours.st_size
                                  : ioctl(STDIN_FILENO, FIONREAD, &waiting) == 0 && waiting > 0;
    if (has_text)
        note(
            "stdin is not read, for it is shared with the program that started this one; add - to the prompt to read "
            "it");
    return false;
}

void append(std::string& prompt, std::string_view part) {
    if (part.empty()) return;
    if (!prompt.empty()) prompt += prompt.ends_with('\n') ? "\n" : "\n\n";
    prompt += part;
}

}  // namespace

Result<std::string> read_text(const std::string& path) {
    if (path == "-") return read_stdin();
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::io, "{}: cannot be opened: {}",
                    in_quotes(path, 400), std::strerror(errno));
    }
    auto text = read_all(descriptor, in_quotes(path, 400));
    close(descriptor);
    return text;
}

Result<std::string> read_prompt(const PromptParts& parts) {
    std::string prompt, words;
    bool has_read_stdin = false;
    for (const std::string& word : parts.words) {
        if (word != "-" || has_read_stdin) {
            words += (words.empty() ? "" : " ") + word;
            continue;
        }
        append(prompt, std::exchange(words, ""));
        ATLAS_TRY(const std::string text, read_stdin());
        append(prompt, text);
        has_read_stdin = true;
    }
    append(prompt, words);
    if (!parts.file.empty()) {
        ATLAS_TRY(const std::string text, read_text(parts.file));
        append(prompt, text);
        has_read_stdin = has_read_stdin || parts.file == "-";
    }
    const bool nothing_else = parts.words.empty() && parts.file.empty();
    if (!has_read_stdin && (nothing_else ? isatty(STDIN_FILENO) == 0 : stdin_was_given())) {
        ATLAS_TRY(const std::string text, read_stdin());
        append(prompt, text);
    }
    if (prompt.empty()) return fail(ErrorCode::invalid_argument, "no prompt: give one as an argument, or on stdin");
    return prompt;
}

std::vector<TokenId> chat_tokens(const Tokenizer& tokenizer, std::string_view text) {
    auto tokens = tokenizer.encode(text, {.add_special = false, .parse_special = true});
    const auto nothing = tokenizer.encode("", {.add_special = true, .parse_special = true});
    const bool wants_bos = !nothing.empty() && tokenizer.bos() == nothing.front();
    if (wants_bos && (tokens.empty() || tokens.front() != nothing.front()))
        tokens.insert(tokens.begin(), nothing.front());
    return tokens;
}

}  // namespace atlas::tools
