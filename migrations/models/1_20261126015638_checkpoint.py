from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "job" ADD "checkpoint" TEXT;"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "job" DROP COLUMN "checkpoint";"""


MODELS_STATE = (
    "eJztXVtz27YS/isYPdkzasaRr02fZMdp3Tp2aittZ5wMBZGQxJgiWACK7enJfz8L8C6BEi"
    "nrYtF4iSNiF6K+Xe4FwC7/a4yoQzz+pi0EGQWi8Q791/DxiMB/JoeaqIGDIB2QFwTueYoW"
    "Z4h6XDBsy7n62OMELjmE28wNhEt9SXztE8TGPqJ9hJHA/P4X1CWMUdZFLke/315fyaEP2P"
    "XGjLyRczrUhkldf7AY+9h3/x0TS9ABEUPCYJK7u8Y32rNcRw7DZPKPPx71YPDrV/i/6zvk"
    "kXBJKT8G91bfJZ6TwydkVtct8RSoa6fu4MIXHxStvO+eZVNvPPJT+uBJDKmfMLi+Am1AfM"
    "KwIPIbBBsTdTueF8Eb4xj+jpQkvMsMj0P6eOxJ6CV3eAPptYZlXV13rNvzjmU1psQSc2Sg"
    "ji7Z1JcihVvlCoCBvIWffm619vePW3v7RyeHB8fHhyd7J0Cr7nd66PhHeDMpWuFUCrOLXy"
    "+uOvKGKOhNqE/ywg/FgwUOuZQwUvRT8eUlcDbETI9/yjEhA/hxkzKIEZ8lhPhCKoVU39ch"
    "hhF+tDziD8QQPr5tncyA+K/2zdlv7ZsdoNrNA30VDbXCMYl5inH0YOQBLtTviHq+gm8DuK"
    "GOt94eHB+c7B8dJKqdXJml0bH2pkhGtqU8mCmDwVODJxfw26s8/AlDDZ/9/VaJR3+/Vfjk"
    "y6E8vA+U3evUtUMeC/Q15VgI4Mh/vRR8Z+DZOf9H+aoR5/96WRx3Prb/URCPnqKRy+urX2"
    "PyDO5nl9en0+rMABtrxKuFFHm+OlmKtUQXqQD6ru/y4QISmGBcSAQvTPk3IwEVwVexOAmD"
    "MTjlDI5MZPr3mWBaXuhh+/4BM8eaGqEtWkQ7PTRqjSavYB8PFJDyF8vfF+WT5wG1hw1Noh"
    "kONGelmSQhmZtk/j107SG6IQ7khJD0IS4oI1LsXPB3kDiGARYMYYEGjD7wJsK+o0ghkIVE"
    "QSaRipGw74RNp6Gr+AJNovqcbPR2hD3v2floGafxEhLS/dbxUWKi5IdZRun2Y/vycn6WWR"
    "S3z3IJ9Qzd1+wOwkekij9IOTYc4hs3UMYN/E57OicgL890Ad8igrkOoI2AFGGOXIEe4A+2"
    "bRKA+EMzjEOjzYhNmQNm2sNcoD71HOIAA0fkOwGZTFv9pcz6xf/iX5EHIADf8SAdxDDiHD"
    "ACKsrQDmhzE4Fb4PBrdt+gDoxFXgBRuIxUPgtfDy4ngBzAxZ66AbgM/7q+nOyL33cZfP/I"
    "HYDewzwlXcxdAwjGKlmG5wkG7xpylTX+XMkDFSfky3xUN+t9VrUOV+yVYnGUxTqmr+HaR+"
    "vwsATeQFWItxrLO59E/8sCnDAYhMshbNbvVrp+FzCXMlc8VU0Jsnx1Cl4XTw1STDEbaNaG"
    "5HajHsuYfgJHx7UF+h/yXL6NeM6ATSIxO0CdjEUlOJQLiHl4PMHkwugW7kC9fba2Lm2XJI"
    "ofq6WvGabNArn3bCDXnLNGhyA0VqIQ7CzLtqO9NLWNQLF6mGtihHlYJmwGzwjPsW9DXCWz"
    "8PJg5ngMkvEiBYRtCzzlk2x1Cq2Whq3NMB+SKrBmOIyGxgETseX6kFsJyDyTwTLCUi500n"
    "6/yiJ0hqUWieq6D0IId0ToWFga7f3gUVyAeo5rAve+ZKsX8u+vP59enqNPN+dnF7cXUdYV"
    "Yx0OyktwwRUKg5vz9uUE0M6Y4Z7radcIildh8ly10PBVL8XQB7/aSaqEwZxrWMB+YN0iTT"
    "HYMf2GVfnu6xZhPCICy62JKothWR6zIPaMBbF7ojHYxfodkRtTUl3NXQfyNSqIbz9ZFVHX"
    "sBoJVJcAI4I9WVQTgBdHKFmeOmC+hiqPgFFpcSr5zSxPHWBet2rH+FU+bzzBuO25+ppX6O"
    "0hse8DGsFUVtnzXEbdF7HkXN5/BcxTDoP3Inhjrtv3m+U3Y4464J33mkcHJZzm0UGhz5RD"
    "plhhc9psqtHWi7eNfZt4FiPw67nQbRueUuoR7Be4Sw37hBh6wL/OQEV/RHgZAji9vr7MCe"
    "D0YhLhzx9PzyEo382vyeo2wOTZ3+olaHm+Ou0trjk6HAfOQgLI8xkBLCwADpG2M/YWKYSd"
    "4DR1mIvKwBmTyuinPAb3hXV/cyXgBv93pgJ8MxJ4OcVof5Cnhr4e7Y9wBX9mSVq8zF+mLp"
    "miIYWbQhgB0zvUvQcpq9ZV3VD+XUQZ6mb2ELpN1OU2DWBE1ojJah5dOfJS5pWlad0h5kPF"
    "eftb+6fW4ZGsVJazNZEibyK1R412MnPtqvIz+OJfUFeefLfCOVT1c1TnDJfHo6Sq7hmlzn"
    "LqKmsbMX3tis2WtbBRXGkmpV4F6pjeHA0pcTREPUxV0E0YagjvSsrMTJO41W8fJta+Csw5"
    "pu2t11/5OvNj4DJSfZcwz2dC0u0MSTt4UBCSypG5IamIiEr1YwXisKEqcDaRoAjSGkd+4K"
    "j3pO/BOp9F23c1uq3I0Jpuqy9G8WfFgZHQypr3iLyGLtSEKVsUprwQU35JB5euT3S2PB6a"
    "acw9OrC8mKqUNZfUkIgDyoI8CpXK46gzdu8bsYXeoJfiKtM/JtXOyg1jjElfl0k3Rsc00F"
    "65ji+7JrwCmhkOg6gW0cppZcJSJ0DXvM/kke/Em4Z9dl+ehKlOwC+jKc+IcA5B1zSexWfD"
    "Miy1cGNrPx0WhodVIM+wmPN4C3WHtzX9/orxThgM2lvVE/VP1UZQkyb+GfcXLE4SkxaEZT"
    "qjKuJwc1Z2Hu0R4qMxJ46u3+lM2mfs4qq/U0pdnH3E9LXbxV3iklJxtmfq/de0qWtO8b7e"
    "PZubqO+zzoQnYzOtOMtSzTXknwO57fIAhpeoEzZhe2nVFDqaSPal5kgGX3Kr5hPlbtIIOm"
    "fmnzWTeWvBC3trQRBJp0rMmOWphaF/RXFjR/b31ticTtT3u9jexJ3By5xbhAAQo7CyKmxs"
    "H4x7njr6mnsVJwjS9ZUq5d7HKe/lfTLURPEhQ7Ay9EFjkdbwfSZ43ZLgdbMHPjcdRa34jF"
    "H6/FRxF3muWgC99h4QsTmr3gRigtNkC9uYLXToPfG1blsNzPbbCUmJ1R5OILkU0Vn8gPjh"
    "q2bany7QTlQkIP9PGbo9v5X9BHeb8gNGNnxvyAV+lTzaQ+zDD0F9GKQ+QTtn1+/Pd3VLRq"
    "v/wiWnHK/uNTWmcmCrF5n04Wext15u+PnK/DSjXqVYP6avBdgrr4FRrsLiQ9w6PKqC8hSj"
    "sdFzQ32zNr3plxybeo7NHr7BXFhy87KyBCY5jQwWlQEj3yF5qS6BPJ/Bfwsz3jZhrv7d39"
    "FIc1bOi1OaeUlvsQiWnDi+lrPqzzx1WpwmFr6irDjyK35BWR1C7JUUGMmHqgLCEXkN0X27"
    "t1fmlP/eXvEpfzmmORGpaylb3A8/w2La4Vdsh79RZ/bj/0da4jg="
)
