#include "tests/tool_models/web_server.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace atlas::tests {

WebServer::WebServer(const std::filesystem::path& gguf) {
    int to_child[2], from_child[2];
    if (pipe(to_child) != 0 || pipe(from_child) != 0) return;
    const std::string script = ATLAS_TEST_DATA "/tool_models/http_server.py", file = gguf.string();
    child_ = fork();
    if (child_ == 0) {
        dup2(to_child[0], STDIN_FILENO);
        dup2(from_child[1], STDOUT_FILENO);
        close(to_child[1]);
        close(from_child[0]);
        execlp("python3", "python3", script.c_str(), file.c_str(), static_cast<char*>(nullptr));
        _exit(127);
    }
    close(to_child[0]);
    close(from_child[1]);
    input_ = to_child[1];
    if (std::FILE* answer = fdopen(from_child[0], "r")) {
        if (std::fscanf(answer, "%d", &port_) != 1) port_ = 0;
        std::fclose(answer);
    }
}

WebServer::~WebServer() {
    // The end of its input ends the server.
    if (input_ >= 0) close(input_);
    if (child_ > 0) waitpid(child_, nullptr, 0);
}

}  // namespace atlas::tests
