"""Sockets of the user-space stack for Python programs.

attach   the link that this process has been given        stack    this process's engine: turning it, waiting
endpoint addresses as Python writes them                  socket   the interface of the standard module
loans    sending and receiving without a copy             loop     an asyncio event loop that turns the stack
sendfile a file, read straight into the send buffer
selector  plain  streams  datagrams                       what the loop consists of     memory   views of this process
"""
