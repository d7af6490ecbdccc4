#include "tools/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <iostream>

namespace atlas::tools {

struct LineEditor::State {
    EditLine* edit = nullptr;
    History* history = nullptr;
    HistEvent event = {};
    std::filesystem::path history_file;
    std::string prompt;
};

namespace {

char* prompt_of(EditLine* edit) {
    void* state = nullptr;
    el_get(edit, EL_CLIENTDATA, &state);
    return static_cast<std::string*>(state)->data();
}

constexpr int kHistoryEntries = 1000;

}  // namespace

LineEditor::LineEditor(std::filesystem::path history_file) : state_(std::make_unique<State>()) {
    if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) return;
    std::setlocale(LC_CTYPE, "");
    state_->history_file = std::move(history_file);
    state_->edit = el_init("atlas-vk", stdin, stderr, stderr);  // the prompt is no part of the answer: stderr
    state_->history = history_init();
    history(state_->history, &state_->event, H_SETSIZE, kHistoryEntries);
    history(state_->history, &state_->event, H_SETUNIQUE, 1);
    el_set(state_->edit, EL_CLIENTDATA, &state_->prompt);
    el_set(state_->edit, EL_PROMPT, prompt_of);
    el_set(state_->edit, EL_EDITOR, "emacs");
    el_set(state_->edit, EL_SIGNAL, 0);
    el_set(state_->edit, EL_HIST, history, state_->history);
    if (!state_->history_file.empty()) {
        std::error_code ignored;  // without the folder there is no history, and the chat goes on
        std::filesystem::create_directories(state_->history_file.parent_path(), ignored);
        history(state_->history, &state_->event, H_LOAD, state_->history_file.c_str());
    }
}

LineEditor::~LineEditor() {
    if (state_->history != nullptr) history_end(state_->history);
    if (state_->edit != nullptr) el_end(state_->edit);
}

bool LineEditor::interactive() const { return state_->edit != nullptr; }

LineEditor::Input LineEditor::read(const std::string& prompt) {
    if (!interactive()) {
        std::string line;
        if (!std::getline(std::cin, line)) return {Event::end, {}};
        return {Event::line, line};
    }
    state_->prompt = prompt;
    int count = 0;
    errno = 0;
    const char* line = el_gets(state_->edit, &count);
    if (line == nullptr || count <= 0) {
        if (errno == EINTR) {
            el_reset(state_->edit);
            std::fputc('\n', stderr);
            return {Event::interrupted, {}};
        }
        return {Event::end, {}};
    }
    std::string text(line, static_cast<size_t>(count));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return {Event::line, text};
}

void LineEditor::remember(const std::string& entry) {
    if (!interactive() || entry.empty()) return;
    history(state_->history, &state_->event, H_ENTER, entry.c_str());
    if (!state_->history_file.empty()) history(state_->history, &state_->event, H_SAVE, state_->history_file.c_str());
}

}  // namespace atlas::tools
