"""Whether servers can be used: active checks, what traffic says, agents, and what becomes of a service without servers.

    gateway: control thread                                   checker: a process of its own (`pronghorn.cli.checker`)
      supervisor  starts it, again when it dies    orders ->    checker   runs the checks of its way, spread over time
      manager     who is usable, quorum, hooks   <- results     probes/   one file per kind of check
      plane       what the engine is told

settings  the configuration        rules     what must hold between its values     durations  how long, as TOML has it
track     one check: rise, fall, when next   passive   what traffic says: inhibition          quorum  is there enough?
agents    what an agent answers    dest_check  DPVS's words for passive checks     hooks      commands of the user's
messages  what the two processes say to each other        views  what is shown     metrics    the same as text to scrape
roster    servers as configured, as found and as the engine has them               way        sockets of a checker
serving   all of it while a gateway runs    show  as views    changes  which keys of services and servers concern health
processes  commands and checkers, ended with all that they have started

A checker's sockets are those of the way that it is started with: the user-space stack, attached to the gateway as any
program is (docs/adr/0013-accelerated-programs.md), so that a check takes the path of the traffic; or the kernel's. It
is trusted with nothing but the states of checks: what it says is checked, and its end changes no state.
"""
