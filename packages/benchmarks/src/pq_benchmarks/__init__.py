"""How fast pq is, and how much memory it takes, beside other queues on the same server.

``__main__`` reads the command line, ``round_robin`` lets the ``scenarios`` take their turns, ``report`` prints what
came of it. What is measured runs in processes of its own: see ``contestants``.
"""
