#include "tools/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <optional>
#include <string_view>

#include "tools/input_queue.h"
#include "tools/messages.h"
#include "tools/terminal.h"
#include "tools/wide_text.h"

namespace atlas::tools {

struct LineEditor::State {
    InputQueue queue;
    std::optional<TerminalGuard> guard;  // restores the terminal after libedit has
    EditLine* edit = nullptr;
    HistoryW* history = nullptr;
    HistEventW event = {};
    std::FILE* output = nullptr;
    std::filesystem::path history_file;
    std::wstring prompt;
    std::stop_token stop;

    // A paste of several lines. libedit edits one line, so the first pasted line completes it; the others are kept
    // here.
    struct Paste {
        std::string rest;   // what follows the first newline
        std::wstring tail;  // what stood after the cursor
    };
    std::optional<Paste> paste;
    // The text that the next line begins with, and how much of it lies after the cursor.
    struct Beginning {
        std::wstring text;
        size_t n_behind = 0;
    };
    std::optional<Beginning> beginning;

    void open_editor();
    void load_history();
    std::optional<std::string> read_paste();
    Input read_plain();
};

namespace {

constexpr std::string_view kPasteStart = InputQueue::kPasteStart, kPasteEnd = InputQueue::kPasteEnd;
constexpr int kHistoryEntries = 1000;
constexpr size_t kLongestHistoryEntry = 64 << 10;
constexpr size_t kLongestPlainLine = 16 << 20;

LineEditor::State& state_of(EditLine* edit) {
    void* state = nullptr;
    el_wget(edit, EL_CLIENTDATA, &state);
    return *static_cast<LineEditor::State*>(state);
}

wchar_t* prompt_of(EditLine* edit) { return state_of(edit).prompt.data(); }

// One character for libedit: 1, 0 at the end of the input, -1 with EINTR after a stop.
int read_character(EditLine* edit, wchar_t* character) {
    LineEditor::State& state = state_of(edit);
    std::string bytes;
    for (;;) {
        const InputQueue::Next next = state.queue.next();
        if (next.event == InputQueue::Event::woken) {
            if (state.stop.stop_requested()) {
                errno = EINTR;
                return -1;
            }
            el_resize(edit);  // the window has another size, or the program was suspended
            std::fputs("\r\033[J", state.output);
            el_wset(edit, EL_REFRESH);
            continue;
        }
        if (next.event == InputQueue::Event::end) return 0;
        bytes += next.byte;
        if (is_unfinished_utf8(bytes)) continue;
        const std::wstring wide = to_wide(bytes);
        if (wide.empty()) {  // a zero byte
            bytes.clear();
            continue;
        }
        // A byte that breaks a character may begin the next one.
        if (bytes.size() > 1 && wide.size() > 1) state.queue.unread(std::string_view(bytes).substr(bytes.size() - 1));
        *character = wide.front();
        return 1;
    }
}

// Bound to the start of a paste.
unsigned char take_paste(EditLine* edit, wint_t) {
    LineEditor::State& state = state_of(edit);
    if (state.beginning) {
        const auto beginning = std::move(*state.beginning);
        state.beginning.reset();
        el_winsertstr(edit, beginning.text.c_str());
        el_cursor(edit, -static_cast<int>(beginning.n_behind));
        return CC_REFRESH;
    }
    std::optional<std::string> pasted = state.read_paste();
    if (!pasted) return CC_EOF;
    const size_t newline = pasted->find('\n');
    if (newline != std::string::npos) {
        const LineInfoW* line = el_wline(edit);
        LineEditor::State::Paste paste{pasted->substr(newline + 1), std::wstring(line->cursor, line->lastchar)};
        const auto n_behind = static_cast<int>(paste.tail.size());
        el_cursor(edit, n_behind);
        el_wdeletestr(edit, n_behind);
        state.paste = std::move(paste);
        pasted->resize(newline);
        state.queue.unread("\n");  // libedit ends the line itself, with the cursor where it belongs
    }
    el_winsertstr(edit, to_wide(*pasted).c_str());
    return CC_REFRESH;
}

// Bound to the end of a paste that was left with Ctrl-C.
unsigned char ignore_paste_end(EditLine*, wint_t) { return CC_NORM; }

}  // namespace

// Reads to the end of the paste; nothing: the input ended or was stopped.
std::optional<std::string> LineEditor::State::read_paste() {
    std::string text;
    size_t n_dropped = 0;
    while (!text.ends_with(kPasteEnd)) {
        const InputQueue::Next next = queue.next();
        if (next.event == InputQueue::Event::end || (next.event == InputQueue::Event::woken && stop.stop_requested()))
            return {};
        if (next.event != InputQueue::Event::byte) continue;
        if (text.size() >= kMostPasteBytes + kPasteEnd.size()) {  // a window over the end goes on
            text.erase(kMostPasteBytes, 1);
            ++n_dropped;
        }
        text += next.byte;
    }
    text.resize(text.size() - kPasteEnd.size());
    if (n_dropped > 0) warning("only the first {} MiB of what was pasted are kept", kMostPasteBytes >> 20);
    return with_plain_newlines(text);
}

LineEditor::LineEditor(std::filesystem::path history_file, const std::string& terminal_name)
    : state_(std::make_unique<State>()) {
    // A prompt is not part of the answer: stderr where both are terminals.
    state_->output = isatty(STDERR_FILENO) != 0 ? stderr : stdout;
    if (isatty(STDIN_FILENO) == 0 || isatty(fileno(state_->output)) == 0) return;
    std::setlocale(LC_CTYPE, "");
    // Containers often have no locale; all that we print is UTF-8 in any case.
    if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
    state_->history_file = std::move(history_file);
    const bool knows_sequences = !terminal_name.empty() && terminal_name != "dumb";
    state_->guard.emplace(fileno(state_->output), knows_sequences, InputQueue::wake);
    state_->open_editor();
    state_->load_history();
}

void LineEditor::State::open_editor() {
    edit = el_init("atlas-vk", stdin, output, output);
    el_wset(edit, EL_CLIENTDATA, this);
    el_wset(edit, EL_PROMPT, prompt_of);
    el_wset(edit, EL_EDITOR, L"emacs");
    el_wset(edit, EL_SIGNAL, 0);
    el_wset(edit, EL_GETCFN, read_character);
    // Raw between two reads, too (-x): a terminal that gathers lines cuts them at 4095 bytes, and its echo would mix
    // with the answer. Returns and newlines arrive as they were sent (-d is while reading).
    const wchar_t* const raw[] = {L"-icanon", L"-echo", L"-echoe", L"-echok", L"-echoctl", L"-iexten"};
    for (const wchar_t* flag : raw) el_wset(edit, EL_SETTY, L"-x", flag, nullptr);
    for (const wchar_t* mode : {L"-x", L"-d"}) {
        for (const wchar_t* flag : {L"-icrnl", L"-inlcr", L"-igncr", L"-istrip", L"-isig"})
            el_wset(edit, EL_SETTY, mode, flag, nullptr);
    }
    queue.make_signals();
    el_wset(edit, EL_ADDFN, L"atlas-paste", L"Insert what is pasted", take_paste);
    el_wset(edit, EL_BIND, L"\\e[200~", L"atlas-paste", nullptr);
    el_wset(edit, EL_ADDFN, L"atlas-paste-end", L"Ignore the end of a paste", ignore_paste_end);
    el_wset(edit, EL_BIND, L"\\e[201~", L"atlas-paste-end", nullptr);
    el_wset(edit, EL_BIND, L"\\t", L"ed-insert", nullptr);
}

void LineEditor::State::load_history() {
    history = history_winit();
    history_w(history, &event, H_SETSIZE, kHistoryEntries);
    history_w(history, &event, H_SETUNIQUE, 1);
    el_wset(edit, EL_HIST, history_w, history);
    if (history_file.empty()) return;
    std::error_code ignored;  // without the folder there is no history, and the chat goes on
    std::filesystem::create_directories(history_file.parent_path(), ignored);
    if (std::filesystem::exists(history_file, ignored) && !std::filesystem::is_regular_file(history_file, ignored))
        history_file.clear();
    if (!history_file.empty()) history_w(history, &event, H_LOAD, history_file.c_str());
}

LineEditor::~LineEditor() {
    if (state_->edit != nullptr) el_end(state_->edit);
    if (state_->history != nullptr) history_wend(state_->history);
}

bool LineEditor::interactive() const { return state_->edit != nullptr; }

bool LineEditor::hung_up() const { return interactive() && state_->queue.has_ended(); }

LineEditor::Input LineEditor::State::read_plain() {
    std::string line;
    for (;;) {
        const InputQueue::Next next = queue.next();
        if (next.event == InputQueue::Event::woken) {
            if (stop.stop_requested()) return {Event::interrupted, {}, 0};
            continue;
        }
        if (next.event == InputQueue::Event::end) return {line.empty() ? Event::end : Event::line, line, 0};
        if (next.byte == '\n') return {Event::line, line, 0};
        if (line.size() < kLongestPlainLine) line += next.byte;
    }
}

LineEditor::Input LineEditor::read(const std::string& prompt, const std::string& more_prompt,
                                   const std::stop_token& stop) {
    State& state = *state_;
    state.stop = stop;
    const std::stop_callback wake(stop, InputQueue::wake);
    if (!interactive()) return state.read_plain();
    Input input;
    state.prompt = to_wide(prompt);
    for (;;) {
        int count = 0;
        errno = 0;
        state.paste.reset();
        const wchar_t* line = el_wgets(state.edit, &count);
        const bool stopped = state.stop.stop_requested();
        if (line == nullptr || count <= 0 || stopped) {
            std::fputc('\n', state.output);
            if (!stopped) return {Event::end, {}, 0};
            el_reset(state.edit);
            return {Event::interrupted, input.text, 0};
        }
        std::wstring_view typed(line, static_cast<size_t>(count));
        if (typed.ends_with(L'\n')) typed.remove_suffix(1);
        input.text += to_utf8(typed);
        if (!state.paste) return input;

        // The middle lines of the paste are shown and final; its last line and what stood after the cursor can be
        // edited.
        const std::string& rest = state.paste->rest;
        const size_t last = rest.rfind('\n') + 1;  // npos + 1: 0
        input.text += "\n" + rest.substr(0, last);
        input.n_pasted = input.text.size() + rest.size() - last;
        show_lines(state.output, std::string_view(rest).substr(0, last), more_prompt);
        state.prompt = to_wide(more_prompt);
        state.beginning = {to_wide(std::string_view(rest).substr(last)) + state.paste->tail, state.paste->tail.size()};
        state.queue.unread(kPasteStart);
    }
}

void LineEditor::remember(const std::string& entry) {
    if (!interactive() || entry.empty() || entry.size() > kLongestHistoryEntry) return;
    history_w(state_->history, &state_->event, H_ENTER, to_wide(entry).c_str());
    if (!state_->history_file.empty()) history_w(state_->history, &state_->event, H_SAVE, state_->history_file.c_str());
}

LineEditor::TypeAhead::TypeAhead(LineEditor& editor) : editor_(editor) {
    if (editor_.interactive()) editor_.state_->queue.collect();
}

LineEditor::TypeAhead::~TypeAhead() {
    if (editor_.interactive()) editor_.state_->queue.stop_collecting();
}

}  // namespace atlas::tools
